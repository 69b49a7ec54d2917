"""What tests share: the database server and fixed instants."""
