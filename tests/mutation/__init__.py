"""Changes of the program that would cost money or show another's data, each with the test that must not let it pass.

Here are the changes of what Python decides and of statements that stand in it, once each and alone. The long statements have
lists beside their checks (`tests/store/test_kernel_mutations.py`, `test_more_mutations.py`, `test_cost_mutations.py`), filters
by account are taken away by `test_filters.py`.

Not listed, for nothing can notice them while another wall stands: that an answer was kept under a key meanwhile
(`kit/web/commands.py`, `if not inserted`), which the key's lock lets nobody come to, and without the lock is what refuses.
"""
