"""Changes of invoices, keys of once and keys of access."""

from __future__ import annotations

from tests.mutation.mutant import Mutant

LOCK = "    await ledger.lock_head(tx.connection, account_id=account_id)\n"
ONCE = "kit/idempotency.py"
HOLDING = "sql/functions/idempotency.sql"
COMMANDS = "kit/web/commands.py"
HELD = "kit/held_keys.py"
COLLECT = "invoices/operations/collecting.py"
ENDING = "invoices/operations/ending.py"
CREDITING = "invoices/operations/crediting.py"
PAYING = "invoices/operations/paying.py"
PAYING_STORE = "invoices/store/paying.py"
NOTES = "invoices/store/credit_notes.py"
INVOICE_RULES = "invoices/rules.py"
RATING_RULES = "rating/rules.py"
KEYS = "api_keys/rules.py"
T_RUNS = "tests/store/test_runs.py"
T_ONCE = "tests/http/test_idempotency.py"
T_PAY = "tests/http/test_pay_invoice.py"
T_COLLECT = "tests/store/test_collecting.py"
T_NOTES = "tests/store/test_credit_notes.py"
T_NOTE_REFUNDS = "tests/store/test_credit_note_refunds.py"
T_KEYS = "tests/unit/test_keys.py"

INVOICED = [
    (
        "payments/operations/charging.py",
        "checks=checks + 1",
        "checks=checks",
        "tests/flows/test_topup.py::TestTokens::test_that_are_pending_are_asked_for_ever_less_often",
    ),
    (
        "sql/functions/metering.sql",
        "wanted.meter\n            AND NOT EXISTS (\n                SELECT FROM counted",
        "day_rows.meter\n            AND NOT EXISTS (\n                SELECT FROM counted",
        "tests/store/test_outside_life.py::TestAnEndThatComesLater::test_takes_no_other_usage_of_its_day_along",
    ),
    (
        "metering/store/states.py",
        "AND prices.account_id = $1 AND prices.region IS NULL",
        "AND prices.region IS NULL",
        "tests/http/test_resources.py::TestReportResource::test_refuses_a_plan_that_only_another_accounts_contract_prices",
    ),
    (
        "sql/functions/ledger.sql",
        "AND template = p_template AND reference",
        "AND reference",
        "tests/store/test_ledger.py::TestPost::test_again_with_the_same_content_changes_nothing",
    ),
    (
        "wallets/rules.py",
        "Wallet(currency, 0, 0, 0))",
        "Wallet(currency, 1, 0, 0))",
        "tests/store/test_wallets.py::TestOfCurrency",
    ),
    (
        "api_keys/store.py",
        '"UPDATE operator_keys SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL"',
        '"UPDATE operator_keys SET revoked_at = $2 WHERE key_id = $1 AND false"',
        "tests/store/test_accounts.py::TestOperatorKeys::test_open_nothing_once_they_are_revoked",
    ),
    (
        "invoices/store/closing.py",
        "LEFT JOIN invoice_lines AS l ON l.account_id = closes.account_id",
        "JOIN invoice_lines AS l ON l.account_id = closes.account_id",
        "tests/store/test_close.py::TestOneAccount::test_with_nothing_to_bill_gets_no_invoice",
    ),
    (
        COLLECT,
        f"{LOCK}    before_minor",
        "    before_minor",
        f"{T_COLLECT}::TestCollect::test_pays_once_with_10_at_a_time",
    ),
    (
        COLLECT,
        "        amount_minor = min(cash_minor, invoice.due_minor)",
        "        amount_minor = invoice.due_minor",
        f"{T_COLLECT}::TestCollect",
    ),
    (
        COLLECT,
        "    cash_minor -= await collect_made_for_invoices(tx, account_id=account_id, currency=currency)\n",
        "",
        f"{T_PAY}::TestPayInvoice",
    ),
    (
        COLLECT,
        "min(cash_minor - used_minor, arrived.amount_minor, invoice.due_minor)",
        "min(cash_minor - used_minor, arrived.amount_minor)",
        T_PAY,
    ),
    (
        COLLECT,
        ", next_ordinal=invoice.next_ordinal + 1)",
        ")",
        f"{T_PAY}::TestPayInvoice::test_takes_credit_and_cash_first",
    ),
    (
        ENDING,
        'invoice.status not in {"pending", "paid"}',
        'invoice.status not in {"pending", "paid", "void"}',
        "tests/http/test_fifty_callers.py",
    ),
    (
        ENDING,
        "    if (await credit_notes.get_credited(tx.connection, **key)).total_minor:",
        "    if False:",
        f"{T_NOTES}::TestOtherEnds::test_keep_credited_invoices_from_being_voided",
    ),
    (
        ENDING,
        "    transfers += [_returned(invoice, payment, tx) for payment in payments]\n",
        "",
        f"{T_PAY}::TestPayInvoice::test_gives_the_money_back_to_the_wallet_when_the_invoice_is_voided",
    ),
    (
        ENDING,
        "    await metering.touch(tx.connection, account_id=invoice.account_id, periods=periods, now=tx.now)\n",
        "    del periods\n",
        "tests/store/test_more_mutations.py::test_check_passes_on_the_statements_as_they_are",
    ),
    (
        ENDING,
        f"{LOCK}    return await store.get_invoice",
        "    return await store.get_invoice",
        f"{T_NOTES}::TestCreditAmount::test_never_exceeds_the_invoice_under_50_callers",
    ),
    (
        ENDING,
        "amount_minor=invoice.due_minor, at=tx.now",
        "amount_minor=invoice.total_minor, at=tx.now",
        f"{T_NOTES}::TestOtherEnds::test_write_off_leaves_nothing_to_credit",
    ),
    (
        CREDITING,
        "    if not 0 < wanted_minor <= left_minor:",
        "    if False:",
        f"{T_NOTES}::TestCreditAmount::test_refuses_more_than_is_left",
    ),
    (
        CREDITING,
        "        if minor > left_minor:",
        "        if False:",
        "tests/http/test_credit_notes.py::TestWrite::test_refuses_more_than_is_left",
    ),
    (
        PAYING,
        f"{LOCK}    key: InvoiceKey",
        "    key: InvoiceKey",
        f"{T_PAY}::TestPayInvoice::test_charges_once_with_50_at_the_same_time",
    ),
    (
        PAYING,
        "    if under_way is not None:",
        "    if False:",
        f"{T_PAY}::TestPayInvoice::test_leaves_transaction_and_invoice_pending_until_the_gateway_settles",
    ),
    (PAYING, 'invoice.status != "pending":', 'invoice.status == "void":', f"{T_PAY}::TestPayInvoice"),
    (
        PAYING,
        "    amount_minor = min(cash_minor, asked.due_minor)",
        "    amount_minor = 0 * cash_minor",
        f"{T_PAY}::TestPayInvoice::test_takes_credit_and_cash_first",
    ),
    (
        PAYING,
        "    await collecting.pay_owed(tx, account_id=account_id, currency=invoice.currency)\n",
        "",
        f"{T_PAY}::TestPayInvoice::test_pays_what_is_owed_with_what_a_hold_gives_back_first",
    ),
    (
        PAYING_STORE,
        "credits.granted_at < (invoices.period + interval '1 month') AT TIME ZONE 'UTC'",
        "true",
        f"{T_PAY}::TestPayInvoice::test_takes_no_credit_given_after_the_month",
    ),
    (
        PAYING_STORE,
        "AND invoice_payments.source = 'method' AND invoice_payments.source_id = p.payment_id",
        "AND false",
        f"{T_PAY}::TestPayInvoice::test_pays_what_a_chargeback_left_owing_first",
    ),
    (
        NOTES,
        "restored_minor + returned_minor + refunded_minor AS given_back_minor",
        "0::bigint AS given_back_minor",
        f"{T_NOTE_REFUNDS}::TestRefund::test_gives_promotional_credit_back_to_its_grant_and_never_out",
    ),
    (
        INVOICE_RULES,
        "(2 * taken_minor * tax.amount_minor + total_minor) //",
        "(2 * taken_minor * tax.amount_minor) //",
        f"{T_NOTE_REFUNDS}::test_a_part_takes_its_share_of_a_tax_rounded_half_up",
    ),
    (INVOICE_RULES, "for payment in reversed(payments):", "for payment in payments:", f"{T_NOTE_REFUNDS}::TestRefund"),
    (
        RATING_RULES,
        "(2 * percents * net_minor + 100 * of) // (200 * of)",
        "(2 * percents * net_minor) // (200 * of)",
        f"{T_NOTE_REFUNDS}::test_a_part_takes_its_share_of_a_tax_rounded_half_up",
    ),
]
ONE_TIME = [
    (
        HELD,
        "        if self.kept is not None and self.kept.fingerprint != self.attempt.fingerprint:",
        "        if False:",
        f"{T_ONCE}::TestRun::test_refuses_a_key_for_something_else",
    ),
    (
        HELD,
        "self._locked.setdefault(lock_id, held) is held\n",
        "self._locked.setdefault(lock_id, held) is not None\n",
        f"{T_ONCE}::TestRun",
    ),
    (
        COMMANDS,
        "            intent = None if held.kept is None else held.kept.intent\n",
        "            intent = None\n",
        f"{T_ONCE}::TestRunStaged::test_goes_on_from_the_intent_after_a_crash",
    ),
    (
        COMMANDS,
        "            if held.kept is not None and held.kept.status is not None:\n",
        "            if False:\n",
        f"{T_ONCE}::TestRunStaged::test_replays_the_outcome",
    ),
    (
        COMMANDS,
        "        except Unavailable:\n            raise\n        except BillingError",
        "        except BillingError",
        f"{T_ONCE}::TestRunStaged",
    ),
    (
        "invoices/store/runs.py",
        "AND NOT earlier.dry_run AND earlier.period < runs.period",
        "AND false",
        f"{T_RUNS}::TestSideBySide::test_a_month_waits_for_what_another_worker_has_in_hand_of_the_one_before",
    ),
    (COMMANDS, "TRIES = 5", "TRIES = 1", f"{T_ONCE}::TestRun::test_does_the_work_again_when_the_database_gives_up"),
    (
        HOLDING,
        "WHERE idempotency_keys.account_id = asked.account_id AND idempotency_keys.route = asked.route\n",
        "WHERE idempotency_keys.account_id = asked.account_id\n",
        f"{T_ONCE}::TestRun::test_keeps_accounts_and_routes_apart",
    ),
    (ONCE, "KEPT = timedelta(days=7)", "KEPT = timedelta(days=6)", f"{T_ONCE}::TestDeleteExpired"),
    (
        ONCE,
        "            return str(value.normalize(_EXACT))",
        "            return str(value)",
        f"{T_ONCE}::TestRun::test_knows_the_same_values_in_other_words",
    ),
    (
        HOLDING,
        "PERFORM pg_advisory_unlock(lock_id) FROM",
        "PERFORM lock_id FROM",
        f"{T_ONCE}::TestRun::test_leaves_no_lock_behind",
    ),
    (
        HOLDING,
        "coalesce(asked.is_mine, false)",
        "true",
        f"{T_ONCE}::TestRun::test_waits_for_a_holder_and_not_for_a_dead_one",
    ),
]
OPENED = [
    (
        KEYS,
        "expires_at is not None and expires_at <= now",
        "expires_at is not None and expires_at < now",
        f"{T_KEYS}::TestHasExpired::test_begins_at_the_instant_itself",
    ),
    (KEYS, " and _checksum(body) == secret[-_CHECKSUM_LENGTH:]", "", f"{T_KEYS}::TestIsWellFormed"),
    (
        KEYS,
        "    if not permissions <= own_permissions:",
        "    if False:",
        f"{T_KEYS}::TestWidens::test_holds_permissions_to_its_own",
    ),
    (
        KEYS,
        "(expires_at is None or expires_at > own_expires_at)",
        "(expires_at is not None and expires_at > own_expires_at)",
        f"{T_KEYS}::TestWidens::test_holds_lifetime_to_its_own",
    ),
    (KEYS, "    if own_ranges and not ranges:", "    if False:", f"{T_KEYS}::TestWidens::test_holds_ranges_to_its_own"),
    (KEYS, "_RANDOM_BITS = 256", "_RANDOM_BITS = 128", f"{T_KEYS}::TestNewSecret"),
]
MUTANTS = [Mutant(*members) for group in (INVOICED, ONE_TIME, OPENED) for members in group]
