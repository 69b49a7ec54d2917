"""Members that mean the same wherever they stand, and those of accounts, keys and projects."""

from __future__ import annotations

from billing.app.reference.members.forms import AMOUNT, CURRENCY, D, M, amount, id_of
from billing.kit.web.openapi.words import Member

COMMON: dict[str, Member] = {
    # Lists
    "page": M("The number of the page, from 1.", 1),
    "per_page": M("How many items a page has, at most 100.", 25),
    "cursor": M(
        "Go on behind an item instead of by page numbers: `meta.next_cursor` of the part before. Good for lists of any"
        " length, and steady while they grow. Not together with `page`.",
        None,
        {"pattern": "^[A-Za-z0-9_-]*$"},
    ),
    "meta": M("Where this part stands in the list."),
    "total": M("How many items the whole list has; null along a cursor.", 50),
    "pages": M("How many pages the whole list has; null along a cursor.", 2),
    "Meta.page": M("The number of this page; null along a cursor.", 1),
    "next_cursor": M("The `cursor` of what follows; null at the end of the list.", None),
    # Time and money
    "created_at": M("When it was made.", "2024-01-15T10:30:00Z"),
    "currency": M("The currency, as its ISO 4217 code.", "USD", CURRENCY),
    "amount": amount("The amount, with exactly the currency's decimals.", "25.50"),
    "from_date": M("From when on: a date (the start of that UTC day) or a time with its zone.", "2024-01-01"),
    "to_date": M("Until when: a date (that whole UTC day is included) or a time with its zone.", "2024-01-31"),
    "period_start": M("The first second of the period.", "2024-01-01T00:00:00Z"),
    "period_end": M("The last second of the period.", "2024-01-31T23:59:59Z"),
    "PeriodShown.start": M("The first second of the period.", "2024-01-01T00:00:00Z"),
    "PeriodShown.end": M("The last second of the period.", "2024-01-31T23:59:59Z"),
    "effective_at": M("When it took effect in the world.", "2024-01-15T10:30:00Z"),
    "recorded_at": M("When it was written into the books.", "2024-01-15T10:30:01Z"),
    # Other things by their ids
    "account_id": id_of("acc", "The account's id."),
    "invoice_id": id_of("inv", "The invoice's id."),
    "project_id": id_of("proj", "The project's id."),
    "payment_id": id_of("pay", "The payment's id."),
    "resource_id": M("The resource's id, as its platform knows it.", "vps_789012"),
    "resource_name": M("The resource's name.", "web-server"),
    "region": M("The region, such as `nairobi`.", "nairobi"),
    "service": M("The service: `compute`, `storage`, `messaging`, or another of the catalogue.", "compute"),
    "plan": M("The plan, if it is a plan that is priced.", "vps-2"),
    "meter": M("The meter, if it is a meter that is priced.", None),
    "name": M("The name.", "web-server"),
    "reason": M("Why.", "Outage of January 12"),
    "project": M("The project's name.", "Production Environment"),
    # Accounts
    "account": M("The account."),
    "accounts": M("The accounts of this page."),
    "AccountShown.id": id_of("acc", "The account's id."),
    "email": M("The account's e-mail address.", "user@example.com"),
    "AccountShown.name": M("The account holder's name.", "John Doe"),
    "AccountUpdate.name": M("The account holder's name.", "John Smith"),
    "AccountOpen.name": M("The account holder's name.", "John Doe"),
    "company": M("The company's name.", "Acme Corp"),
    "AccountUpdate.company": M("The company's name; null removes it.", "New Company Ltd"),
    "AccountShown.status": M(
        "`active`; `suspended`: reads, top-ups, payment methods, payments and key revocation only; `closed` for good."
    ),
    "verified": M("Whether the account holder's identity was checked.", True),
    "AccountShown.created_at": M("When the account was opened.", "2024-01-01T00:00:00Z"),
    "AccountShown.currency": M("The currency that the account is rated and invoiced in.", "USD"),
    "AccountOpen.currency": M("The currency that the account is rated and invoiced in.", "USD"),
    "timezone": M(
        "The account's time zone by its IANA name, for dates that people read; never for amounts.", "Africa/Nairobi"
    ),
    "AccountUpdate.timezone": M("The account's time zone by its IANA name.", "Africa/Lagos"),
    "phone": M("A phone number in E.164 form; SMS alerts go there.", "+254700000000"),
    "address": M("The postal address for invoices, with line breaks.", "Kenyatta Avenue 1\nNairobi"),
    "tax_id": M("The tax number for invoices.", "P051234567X"),
    "country": M("The country by its ISO 3166-1 code: it decides the taxes.", "KE", {"pattern": "^[A-Z]{2}$"}),
    "tax_exempt": M("Whether no tax is charged.", False),
    "billing_paused": M("Whether no month of the account is closed: runs park it with this reason.", False),
    "terms_days": M("Days from an invoice's issue to its due date.", 14),
    "AccountsQuery.status": M("Only accounts of this status.", "active"),
    "AccountsQuery.q": M("A text to look for in e-mail address, name and company.", "acme"),
    # Keys
    "api_key": M("The key."),
    "api_keys": M("The keys of this page."),
    "KeyShown.id": id_of("key", "The key's id, by which it is revoked."),
    "KeyIssued.id": id_of("key", "The key's id, by which it is revoked."),
    "KeyShown.name": M("What the key is for.", "Production API Key"),
    "KeyIssued.name": M("What the key is for.", "CI/CD Pipeline Key"),
    "KeyCreate.name": M("What the key is for.", "CI/CD Pipeline Key"),
    "key": M("The secret, shown this once.", "ls_prod_4Zr8nQ2mKd7vXw1TgYb6HsJc9LpEfA3kUo5i"),
    "prefix": M("How the secret begins.", "ls_prod_"),
    "permissions": M(
        "`read` opens what is read (GET), `write` everything else; neither implies the other.", ["read", "write"]
    ),
    "last_used": M("When the key last opened something; null if never.", "2024-01-15T10:30:00Z"),
    "KeyShown.created_at": M("When the key was made.", "2024-01-01T00:00:00Z"),
    "KeyShown.expires_at": M("From when on the key opens nothing; null if it does not expire.", None),
    "KeyIssued.expires_at": M(
        "From when on the key opens nothing; null if it does not expire.", "2024-12-31T23:59:59Z"
    ),
    "KeyCreate.expires_at": M(
        "From when on the key is to open nothing: in the future; without it the key does not expire.",
        "2024-12-31T23:59:59Z",
    ),
    "ip_whitelist": M(
        "The addresses and CIDR ranges that the key may be used from; empty: any.", ["192.168.1.100", "10.0.0.0/8"]
    ),
    # Projects and resources
    "ProjectAnswer.project": M("The project."),
    "projects": M("The projects of this page."),
    "ProjectShown.id": id_of("proj", "The project's id."),
    "ProjectShown.name": M("The project's name.", "Production Environment"),
    "ProjectCreate.name": M("The project's name.", "Staging Environment"),
    "ProjectUpdate.name": M("The project's name.", "Updated Project Name"),
    "ProjectShown.description": M("What the project is for.", "Main production infrastructure"),
    "ProjectCreate.description": M("What the project is for.", "Testing and staging infrastructure"),
    "ProjectUpdate.description": M("What the project is for; null removes it.", "Main production infrastructure"),
    "ProjectShown.status": M("Always `active`: a deleted project is not shown."),
    "ProjectShown.region": M("The default region for new resources.", "nairobi"),
    "ProjectCreate.region": M("The default region for new resources.", "nairobi"),
    "ProjectShown.created_at": M("When the project was made.", "2024-01-01T00:00:00Z"),
    "resource_count": M("How many resources are live in the project.", 15),
    "ProjectShown.monthly_cost": amount(
        "What its live resources cost in a full month at today's prices, before tax.", "250.00"
    ),
    "budget_limit": amount("The monthly budget in the account's currency, before tax; null: none.", "100.00"),
    "ProjectCreate.budget_limit": M("A monthly budget in the account's currency, before tax.", D("100.00"), AMOUNT),
    "ProjectUpdate.budget_limit": M(
        "A monthly budget in the account's currency; null removes it.", D("150.00"), AMOUNT
    ),
    "ProjectDetails.is_default": M("Whether new resources go here unless another project is named.", False),
    "protected": M("Whether the project cannot be deleted.", False),
    "ResourcesAnswer.resources": M("The resources of this page."),
    "ResourceShown.id": M("The resource's id, as its platform knows it.", "vps_789012"),
    "ResourceShown.name": M("The resource's name.", "web-server"),
    "ResourceShown.type": M("What kind of resource it is.", "vps"),
    "ResourceShown.status": M("What the resource is now."),
    "ResourceShown.monthly_cost": amount("What it costs in a full month at today's price, before tax.", "50.00"),
    "ResourcesQuery.service": M("Only resources of this service.", "compute"),
    "ResourcesQuery.status": M("Only resources of this status; without it all but deleted ones.", "running"),
    "resource": M("The resource."),
    "OperatorResource.plan": M("The plan that the resource is sold as; null if it is metered alone.", "vps-2"),
    "units": M("How many of its plan it is.", D(1)),
    "spans": M("What the resource was, span by span, oldest first."),
    "SpanShown.plan": M("The plan of the span.", "vps-2"),
    "SpanShown.units": M("The units of the span.", D(1)),
    "SpanShown.status": M("The status of the span."),
    "SpanShown.start": M("When the span began.", "2024-01-15T10:30:00Z"),
    "SpanShown.end": M("When the span ended, exclusive; null: it has not.", None),
    "ResourceReport.type": M("What kind of resource it is.", "vps"),
    "ResourceReport.status": M("What the resource is from then on; `deleted` ends it."),
    "ResourceReport.region": M("The region; it stays what the first report said.", "nairobi"),
    "ResourceReport.effective_at": M(
        "From when on it is so: any time since 1970, at most 5 minutes ahead.", "2024-01-15T10:30:00Z"
    ),
    "ResourceReport.project_id": id_of(
        "proj", "The project; without it the one that the resource is in, or the default."
    ),
    "ResourceReport.plan": M("The plan that it is sold as; without it it is metered alone.", "vps-2"),
    # Issuer
    "issuer": M("Who issues invoices."),
    "Issuer.name": M("The name on invoices.", "Lineserve Ltd"),
    "IssuerIn.name": M("The name on invoices.", "Lineserve Ltd"),
    "bank_details": M("Where to pay by bank transfer, as invoices show it.", "Equity Bank, account 0123456789"),
    "logo": M("A picture for documents, in place of the name: PNG or JPEG of at most 64 KiB, in base64.", None),
    "logo_sha256": M("The digest of the picture on documents, in hexadecimal.", None),
    "mobile_money": M("Where to pay by mobile money, as invoices show it.", "Paybill 400200"),
    "support_email": M("Where questions about invoices go.", "billing@example.com"),
}
