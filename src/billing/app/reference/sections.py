"""The parts of the reference, in the order of the published contract."""

from __future__ import annotations

from billing.kit.web.openapi.document import Section


def _section(name: str, says: str) -> Section:
    return Section(name=name, says=says)


PUBLIC_SECTIONS = (
    _section("Account Management", "Who you are to us: name, company, contact and time zone."),
    _section(
        "Billing Management", "Wallets, top-ups, the history of what was charged and paid, and this month's usage."
    ),
    _section("Payment Methods", "The cards and bank accounts that you pay with. We keep their last digits alone."),
    _section("Invoices", "What was billed month by month, line by line, and as PDF."),
    _section("Projects", "Groups of resources, with a budget of their own."),
    _section("API Keys", "The keys that open this API, with permissions, lifetimes and addresses."),
    _section("Cost Analytics", "What costs how much, and how that changes."),
    _section("Alerts and Notifications", "Messages when costs, usage or balances cross a threshold."),
    _section("Webhooks", "Where your own systems hear of what happens, signed; and what became of each message."),
)
OPERATOR_SECTIONS = (
    _section("Accounts", "Who is billed."),
    _section("Catalogue", "Rate cards, prices, meters, tax rates, and quotes from them."),
    _section("Metering", "What the platform reports: resources and their states, and usage events."),
    _section("Wallets and credits", "Promotional credit, holds, and the books of an account."),
    _section("Payments", "Money that came another way, refunds and chargebacks."),
    _section("Invoices", "Previews, voids, write-offs, credit notes, and who issues invoices."),
    _section("Runs", "Closing a month: making the invoices of all accounts."),
    _section("Projects", "What operators can do for the projects of accounts."),
    _section("Alerts and Notifications", "What was sent to accounts, and to operators."),
    _section("Events and webhooks", "The log of what happened, and what accounts' webhook endpoints were sent of it."),
    _section("Checks and audit", "Whether the books are right, and who did what."),
)
