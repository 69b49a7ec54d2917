"""Changes of payments, refunds, chargebacks, wallets and the templates of the books."""

from __future__ import annotations

from tests.mutation.mutant import Mutant

LOCK = "    await ledger.lock_head(tx.connection, account_id=account_id)\n"
INTO = "payments/operations/charging.py"
TOP_UPS = "payments/operations/topping_up.py"
BACK = "payments/operations/refunding.py"
DISPUTED = "payments/operations/charging_back.py"
PAYMENTS = "payments/store/payments.py"
REFUNDS = "payments/store/refunds.py"
PAYMENT_RULES = "payments/rules.py"
WALLETS = "wallets/operations.py"
WALLET_RULES = "wallets/rules.py"
WALLET_STORE = "wallets/store.py"
TEMPLATES = "ledger/rules.py"
T_TOPUP = "tests/flows/test_topup.py"
T_REFUNDS = "tests/store/test_refunds.py"
T_OWED = "tests/store/test_owed.py"
T_WALLETS = "tests/store/test_wallets.py"
T_PAY = "tests/http/test_pay_invoice.py"
T_NOTE_REFUNDS = "tests/store/test_credit_note_refunds.py"
T_CREDITS = "tests/http/test_credits.py"
T_TEMPLATES = "tests/unit/test_ledger_templates.py"
T_TOLD = "tests/http/test_told.py"
T_TOGETHER = "tests/http/test_topups_together.py"

PAID_IN = [
    (
        TOP_UPS,
        "mine = [turn for turn in turns if turn.account_id in free]",
        "mine = list(turns)",
        f"{T_TOGETHER}::TestCallsAtOnce::test_do_not_wait_for_an_account_whose_books_are_held",
    ),
    (
        TOP_UPS,
        "        if kept:\n            await idempotency.insert_intents",
        "        if False:\n            await idempotency.insert_intents",
        f"{T_TOGETHER}::TestKeys",
    ),
    (
        TOP_UPS,
        "                answers.append(turn.keep(payment, wallet))",
        "                turn.keep(payment, wallet)",
        f"{T_TOGETHER}::TestCallsAtOnce::test_are_answered_with_what_is_kept",
    ),
    (
        TOP_UPS,
        '            if payment.status != "completed":',
        "            if False:",
        f"{T_TOGETHER}::TestCallsAtOnce::test_are_refused_when_they_had_failed_before_the_money_came",
    ),
    (
        TOP_UPS,
        "beside=[one.transfer for one in started.values()]",
        "beside=()",
        f"{T_TOGETHER}::TestCallsAtOnce::test_share_transactions_and_are_answered_each_for_itself",
    ),
    (
        WALLETS,
        "            own_minor[owed] += paid_minor\n",
        "",
        f"{T_TOGETHER}::TestCallsAtOnce::test_pay_what_is_owed_once",
    ),
    (
        TOP_UPS,
        "    rules.require_in_range(wanted.amount_minor, currency=wanted.currency, allowed=allowed)\n",
        "    del allowed\n",
        f"{T_TOPUP}::TestStart::test_refuses_amounts_out_of_range",
    ),
    (
        INTO,
        "    if not rules.is_answer_to(answer, payment):",
        "    if False:",
        f"{T_TOPUP}::TestAnswer::test_about_another_amount_is_never_posted",
    ),
    (
        INTO,
        "if answer is None and rules.is_abandoned(payment, now):",
        "if answer is None:",
        f"{T_TOPUP}::TestCrash::test_look_before_the_call_leaves_the_key_to_it",
    ),
    (
        INTO,
        f"{LOCK}    return (await settle_held(",
        "    return (await settle_held(",
        f"{T_OWED}::TestOwed::test_is_paid_exactly_by_many_at_once",
    ),
    (
        INTO,
        'ledger.invoice_payment_settled if payment.kind == "invoice" else ledger.topup_settled',
        "ledger.topup_settled",
        f"{T_PAY}::TestPayInvoice::test_pays_what_is_owed_with_what_a_hold_gives_back_first",
    ),
    (
        INTO,
        "    await wallets.post_arrivals(tx, arrivals, beside=beside)\n",
        "    await ledger.post_all(tx.connection, [*beside, *(one for one, _ in arrivals)], recorded_at=tx.now)\n",
        f"{T_OWED}::TestOwed",
    ),
    (
        INTO,
        '                log.error("charge_after_failure", payment_id=str(payment_id))\n',
        "                pass\n",
        f"{T_TOPUP}::TestAnswer::test_after_the_end_changes_nothing",
    ),
    (
        INTO,
        "        await telling.tell_payments(tx, arrived)\n",
        "        pass\n",
        f"{T_TOLD}::TestPayment",
    ),
    (
        INTO,
        "        if (existing.currency, existing.amount_minor, existing.received_at) !=",
        "        if () and () !=",
        f"{T_TOPUP}::TestRecord::test_refuses_other_content_under_the_same_reference",
    ),
    (
        INTO,
        "    existing = await store.find_recorded(tx.connection, account_id=account_id, reference=reference)\n",
        "    existing = None\n",
        f"{T_TOPUP}::TestRace::test_of_recordings_with_one_reference_records_once",
    ),
    (
        INTO,
        "    await ledger.post(tx.connection, transfer, recorded_at=tx.now)\n    await telling.tell_payments(tx, [payment])\n",
        "    await telling.tell_payments(tx, [payment])\n",
        f"{T_TOPUP}::TestTokens::test_that_are_bad_give_the_money_back",
    ),
    (
        PAYMENTS,
        "            AND completed_at IS NULL AND failure_reason IS NULL\n",
        "            AND failure_reason IS NULL\n",
        f"{T_TOPUP}::TestRace::test_of_fifty_charges_takes_the_money_once",
    ),
    (
        PAYMENTS,
        "            AND completed_at IS NULL AND failure_reason IS NULL\n",
        "            AND completed_at IS NULL\n",
        f"{T_TOPUP}::TestRace::test_of_settlers_and_failers_has_one_winner",
    ),
    (
        PAYMENTS,
        (
            "SET status = 'failed', failure_reason = $3, next_check_at = NULL\n"
            "        WHERE account_id = $1 AND payment_id = $2 AND status = 'pending'"
        ),
        "SET status = 'failed', failure_reason = $3, next_check_at = NULL\n        WHERE account_id = $1 AND payment_id = $2",
        f"{T_TOPUP}::TestAnswer::test_after_the_end_changes_nothing",
    ),
    (
        PAYMENT_RULES,
        "    if not allowed.minimum_minor <= amount_minor",
        "    if not allowed.minimum_minor < amount_minor",
        f"{T_TOPUP}::TestStart::test_takes_both_ends_of_the_range",
    ),
    (
        PAYMENT_RULES,
        "    return now - intent.created_at >= timedelta(seconds=ABANDONED_AFTER_S)",
        "    return False",
        f"{T_TOPUP}::TestCrash::test_between_intent_and_call_without_a_retry_fails_uncharged",
    ),
    (
        PAYMENT_RULES,
        "_THEN_EVERY_S = 86_400",
        "_THEN_EVERY_S = 3_600",
        f"{T_TOPUP}::TestNextCheckAt::test_spaces_checks_by_five_minutes_an_hour_and_days",
    ),
]
PAID_BACK = [
    (
        BACK,
        'if payment.kind != "topup" or payment.gateway != gateway.name or not',
        "if not",
        f"{T_REFUNDS}::TestRefund::test_is_not_for_money_that_came_another_way",
    ),
    (
        BACK,
        f"    account_id, currency = payment.account_id, payment.currency\n{LOCK}",
        "    account_id, currency = payment.account_id, payment.currency\n",
        f"{T_REFUNDS}::TestConcurrency::test_refunds_and_a_chargeback_never_exceed_the_payment",
    ),
    (
        BACK,
        "    await wallets.release_expired(tx, account_id=account_id)\n",
        "",
        f"{T_REFUNDS}::TestRefund::test_may_use_what_an_expired_hold_had",
    ),
    (
        BACK,
        "        amount_minor=refund.amount_minor,\n        reserve=reserve,\n",
        "        amount_minor=0,\n        reserve=reserve,\n",
        f"{T_REFUNDS}::TestRefund::test_is_never_more_than_what_is_available",
    ),
    (
        BACK,
        "    if rest_minor < amount_minor or owed_minor > 0:",
        "    if rest_minor < amount_minor:",
        f"{T_NOTE_REFUNDS}::TestRefund::test_refuses_an_account_that_owes",
    ),
    (
        BACK,
        "    if rest_minor < amount_minor or owed_minor > 0:",
        "    if owed_minor > 0:",
        f"{T_NOTE_REFUNDS}::TestRefund::test_refuses_what_no_payment_can_take",
    ),
    (
        BACK,
        "    if not rules.is_answer_to_refund(answer, intent):",
        "    if False:",
        f"{T_REFUNDS}::TestAnswer::test_about_something_else_is_not_posted",
    ),
    (
        BACK,
        '    if answer.status == "pending":',
        "    if False:",
        f"{T_REFUNDS}::TestAnswer::test_that_it_is_pending_changes_nothing",
    ),
    (
        BACK,
        '    if ended.status == "completed":',
        "    if True:",
        f"{T_REFUNDS}::TestRefund::test_that_is_declined_gives_the_money_to_the_wallet",
    ),
    (
        BACK,
        "    await wallets.post_arrivals(tx, [(transfer, failed.refund_id)])\n",
        "    await ledger.post(tx.connection, transfer, recorded_at=tx.now)\n",
        f"{T_OWED}::TestOwed::test_is_paid_by_a_refund_that_failed",
    ),
    (
        BACK,
        "rules.next_check_at(tx.now, checks=checks + 1, settles_after_s=None)",
        "rules.next_check_at(tx.now, checks=0, settles_after_s=None)",
        f"{T_REFUNDS}::TestUnknown::test_is_asked_for_rarely_however_long",
    ),
    (
        REFUNDS,
        "refunds.status <> 'failed') AS refunded_minor",
        "refunds.status = 'completed') AS refunded_minor",
        f"{T_REFUNDS}::TestUnknown::test_counts_as_refunded",
    ),
    (REFUNDS, "refunds.status <> 'failed') AS refunded_minor", "true) AS refunded_minor", T_REFUNDS),
    (
        REFUNDS,
        "CASE WHEN status = 'completed' THEN amount_minor ELSE 0 END AS captured_minor",
        "amount_minor AS captured_minor",
        f"{T_REFUNDS}::TestRefund::test_is_refused_while_nothing_has_arrived",
    ),
    (
        REFUNDS,
        "chargebacks.payment_id = $2) AS disputed_minor",
        "chargebacks.payment_id = $2 AND false) AS disputed_minor",
        f"{T_OWED}::TestChargeback::test_of_many_at_once_are_never_more_than_the_payment",
    ),
    (
        REFUNDS,
        "WHERE account_id = $1 AND refund_id = $2 AND status = 'pending'",
        "WHERE account_id = $1 AND refund_id = $2",
        f"{T_REFUNDS}::TestAnswer::test_after_the_end_changes_nothing",
    ),
    (
        REFUNDS,
        "ORDER BY invoice_id IS NOT DISTINCT FROM $4 DESC, created_at DESC, payment_id DESC",
        "ORDER BY created_at, payment_id",
        f"{T_NOTE_REFUNDS}::TestRefund::test_goes_over_payments_the_newest_first",
    ),
    (
        REFUNDS,
        "refunds.payment_id = payments.payment_id AND refunds.status <> 'failed')",
        "refunds.payment_id = payments.payment_id AND false)",
        f"{T_NOTE_REFUNDS}::TestRefund::test_goes_over_payments_the_newest_first",
    ),
    (
        PAYMENT_RULES,
        "    if not 0 < amount_minor <= captured.rest_minor:\n        raise RefundExceedsPayment",
        "    if not 0 < amount_minor <= captured.captured_minor:\n        raise RefundExceedsPayment",
        f"{T_REFUNDS}::TestRefund::test_is_refused_when_nothing_is_left",
    ),
    (
        PAYMENT_RULES,
        "    if not 0 < amount_minor <= captured.rest_minor:\n        raise RefundExceedsPayment",
        "    if amount_minor > captured.rest_minor:\n        raise RefundExceedsPayment",
        f"{T_REFUNDS}::TestRefund::test_is_refused_when_nothing_is_left",
    ),
    (
        PAYMENT_RULES,
        "    if not 0 < amount_minor <= captured.rest_minor:\n        raise ChargebackExceedsPayment",
        "    if not 0 < amount_minor <= captured.captured_minor:\n        raise ChargebackExceedsPayment",
        f"{T_OWED}::TestChargeback::test_of_many_at_once_are_never_more_than_the_payment",
    ),
    (PAYMENT_RULES, "min(rest_minor, amount_minor)", "rest_minor", T_NOTE_REFUNDS),
    (DISPUTED, LOCK, "", f"{T_OWED}::TestChargeback::test_of_many_at_once_are_never_more_than_the_payment"),
    (
        DISPUTED,
        "    await wallets.release_expired(tx, account_id=account_id)\n",
        "",
        f"{T_OWED}::TestChargeback::test_leaves_held_money_alone_but_not_that_of_expired_holds",
    ),
    (
        DISPUTED,
        "min(balances_minor.get((currency, ledger.WALLET_CASH), 0), taken_minor)",
        "0",
        f"{T_OWED}::TestChargeback::test_takes_the_wallets_cash",
    ),
]
KEPT = [
    (
        WALLETS,
        f"{LOCK}    existing = await store.find_hold",
        "    existing = await store.find_hold",
        f"{T_WALLETS}::TestHoldRace::test_takes_no_more_than_is_there",
    ),
    (
        WALLETS,
        "        if (existing.currency, existing.amount_minor, existing.expires_at) !=",
        "        if () and () !=",
        f"{T_WALLETS}::TestHold::test_is_replayed_by_reference_and_content",
    ),
    (
        WALLETS,
        "    await release_expired(tx, account_id=account_id)\n",
        "",
        f"{T_WALLETS}::TestHold::test_gives_its_money_to_the_next_one_after_its_expiry",
    ),
    (
        WALLETS,
        "    if wallet.available_minor < amount_minor:",
        "    if wallet.available_minor <= amount_minor:",
        f"{T_WALLETS}::TestHold",
    ),
    (
        WALLETS,
        "    if wallet.available_minor < amount_minor:",
        "    if False:",
        f"{T_WALLETS}::TestHold::test_leaves_what_is_reserved",
    ),
    (WALLETS, "    if not hold.is_open(tx.now):", "    if False:", f"{T_WALLETS}::TestHold::test_ends_once"),
    (
        WALLETS,
        "    if captured_minor > hold.amount_minor:",
        "    if False:",
        "tests/http/test_wallets.py::TestHolds::test_set_money_aside_and_take_it",
    ),
    (
        WALLETS,
        "    if captured_minor < hold.amount_minor:",
        "    if False:",
        f"{T_WALLETS}::TestHold::test_is_captured_in_part_and_the_rest_goes_back",
    ),
    (
        WALLETS,
        "    if paid_minor > 0:",
        "    if False:",
        f"{T_OWED}::TestOwed::test_is_paid_first_by_money_that_arrives",
    ),
    (
        WALLETS,
        "min(arrival.amount_minor, -own_minor.get(owed, 0))",
        "-own_minor.get(owed, 0)",
        f"{T_OWED}::TestOwed",
    ),
    (
        WALLETS,
        "    if standing.remaining_minor < credit.amount_minor:",
        "    if False:",
        f"{T_CREDITS}::TestUndoCredit::test_refuses_what_was_spent_until_the_invoice_is_voided",
    ),
    (
        WALLETS,
        "if currency == own_currencies[account_id] else 0",
        "if True else 0",
        f"{T_WALLETS}::TestListWallets::test_reserves_in_the_own_currency_alone",
    ),
    (
        WALLET_STORE,
        "WHERE account_id = $1 AND status = 'open' AND expires_at <= $2\n        RETURNING",
        "WHERE account_id = $1 AND status = 'open'\n        RETURNING",
        f"{T_WALLETS}::TestHold",
    ),
    (
        WALLET_STORE,
        "WHERE account_id = ANY ($1) AND status = 'open' AND expires_at <= $2",
        "WHERE account_id = ANY ($1) AND status = 'open' AND expires_at < $2",
        f"{T_WALLETS}::TestHold::test_is_spendable_in_the_first_read_after_its_expiry",
    ),
    (
        WALLET_RULES,
        "max(0, unbilled_minor - credit_minor) + next_day_minor",
        "unbilled_minor + next_day_minor",
        f"{T_WALLETS}::TestReserveOf",
    ),
    (
        WALLET_RULES,
        "available_minor=cash.cash_minor - reserve_minor,",
        "available_minor=cash.cash_minor,",
        f"{T_WALLETS}::TestListWallets",
    ),
    (
        WALLET_RULES,
        "ledger.WALLET_CASH), 0) + expired,",
        "ledger.WALLET_CASH), 0),",
        f"{T_WALLETS}::TestHold::test_is_spendable_in_the_first_read_after_its_expiry",
    ),
    (
        TEMPLATES,
        'WALLET_HELD, REVENUE, amount_minor, "hold.captured"',
        'WALLET_CASH, REVENUE, amount_minor, "hold.captured"',
        f"{T_TEMPLATES}::test_move_what_their_table_says",
    ),
    (
        TEMPLATES,
        'amount_minor, "refund.settled", str(refund_id), at',
        'amount_minor, "refund.settled", str(account_id), at',
        f"{T_REFUNDS}::TestRefund::test_gives_the_rest_back_after_parts",
    ),
]
MUTANTS = [Mutant(*members) for group in (PAID_IN, PAID_BACK, KEPT) for members in group]
