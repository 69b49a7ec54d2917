"""Which accounts a parsed statement can reach: at each level every relation that holds accounts' data is bound to an account.

Bound is a relation whose `account_id` an AND-ed condition equates with something that is no such relation of the same level (a
parameter, a list of them, what a CTE or an outer query found), or with the `account_id` of one that is bound. A row that is
inserted names its `account_id`. A view binds nobody: it shows `account_id`, by which all of its relations are joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType, SubLinkType

COLUMN = "account_id"
_EQUALITIES = {A_Expr_Kind.AEXPR_OP, A_Expr_Kind.AEXPR_OP_ANY, A_Expr_Kind.AEXPR_IN, A_Expr_Kind.AEXPR_NOT_DISTINCT}


def is_a(node: Any, *kinds: type[ast.Node]) -> bool:
    """Whether a parsed node is of some kind."""
    return isinstance(node, kinds)


def unbound(sql: str, *, relations: frozenset[str]) -> list[str]:
    """The relations of a statement that are bound to no account, where they stand. Raises ParseError."""
    return [name for one in parse_sql(sql) for name in _Reader(relations).read(one.stmt, frozenset())]


def unjoined(sql: str, *, relations: frozenset[str]) -> list[str]:
    """The relations of a view's query that are not joined by account, or whose account it does not show."""
    return [name for one in parse_sql(sql) for name in _Reader(relations, is_view=True).read(one.stmt, frozenset())]


@dataclass
class _Level:
    """What one query reads, and how it is held together."""

    aliases: dict[str, str] = field(default_factory=dict)
    conditions: list[Any] = field(default_factory=list)
    used: list[set[str]] = field(default_factory=list)
    inner: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class _Reader:
    relations: frozenset[str]
    is_view: bool = False

    def read(self, node: Any, known: frozenset[str]) -> Iterator[str]:
        """The unbound relations of a statement and of all inside it; `known` are the names of CTEs."""
        if getattr(node, "withClause", None) is not None:
            for cte in node.withClause.ctes:
                if node.withClause.recursive:
                    known |= {cte.ctename}
                yield from self.read(cte.ctequery, known)
                known |= {cte.ctename}
        if is_a(node, ast.SelectStmt) and node.larg is not None:
            yield from self.read(node.larg, known)
            yield from self.read(node.rarg, known)
            return
        level = self._level(node, known)
        yield from self._not_bound(level, node)
        if is_a(node, ast.InsertStmt) and self._is_ours(node.relation, known) and not _names_account(node):
            yield node.relation.relname
        for query in level.inner:
            yield from self.read(query, known)

    def _level(self, node: Any, known: frozenset[str]) -> _Level:
        level = _Level()
        if is_a(node, ast.UpdateStmt, ast.DeleteStmt):
            self._take(node.relation, level, known)
        for item in (*(getattr(node, "fromClause", None) or ()), *(getattr(node, "usingClause", None) or ())):
            self._take(item, level, known)
        level.conditions.extend(_conjuncts(getattr(node, "whereClause", None)))
        for name in node:
            if name not in {"withClause", "larg", "rarg"}:
                level.inner.extend(_queries(getattr(node, name)))
        return level

    def _is_ours(self, relation: Any, known: frozenset[str]) -> bool:
        if relation.schemaname not in {None, "public"} or (relation.schemaname is None and relation.relname in known):
            return False
        return relation.relname in self.relations

    def _take(self, item: Any, level: _Level, known: frozenset[str]) -> set[str]:
        """Add an item of FROM; the aliases of what it reads of ours."""
        if is_a(item, ast.RangeVar) and self._is_ours(item, known):
            alias = item.alias.aliasname if item.alias else item.relname
            level.aliases[alias] = item.relname
            return {alias}
        if is_a(item, ast.JoinExpr):
            taken = self._take(item.larg, level, known) | self._take(item.rarg, level, known)
            level.conditions.extend(_conjuncts(item.quals))
            if COLUMN in {column.sval for column in item.usingClause or ()}:
                level.used.append(taken | ({""} if self._reads_others(item, known) else set()))
            return taken
        return set()

    def _reads_others(self, join: Any, known: frozenset[str]) -> bool:
        """Whether one side of a join is something else than a relation of ours."""
        sides = (join.larg, join.rarg)
        return any(not is_a(side, ast.RangeVar, ast.JoinExpr) for side in sides) or any(
            is_a(side, ast.RangeVar) and not self._is_ours(side, known) for side in sides
        )

    def _not_bound(self, level: _Level, node: Any) -> Iterator[str]:
        """The relations of a level that are not bound; "" stands for what binds."""
        pairs = [pair for condition in level.conditions for pair in _pairs(condition)]
        groups = [*level.used]
        for left, right in pairs:
            names = [_alias_of(side, level) for side in (left, right)]
            if any(name is not None for name in names):
                groups.append({name or "" for name in names})
        bound: set[str] = {""}
        if self.is_view:
            bound |= set(list(level.aliases)[:1]) if not level.aliases or _shows_account(node) else set()
        while any(group & bound and not group <= bound for group in groups):
            for group in groups:
                if group & bound:
                    bound |= group
        for alias, relation in level.aliases.items():
            if alias not in bound:
                yield relation


def _conjuncts(node: Any) -> Iterator[Any]:
    """The conditions that must all hold."""
    if is_a(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for part in node.args:
            yield from _conjuncts(part)
    elif node is not None:
        yield node


def _pairs(condition: Any) -> Iterator[tuple[Any, Any]]:
    """What a condition says to be equal, members of rows one by one."""
    if is_a(condition, ast.SubLink) and condition.subLinkType == SubLinkType.ANY_SUBLINK:
        for member in _members(condition.testexpr):
            yield member, condition.subselect
        return
    if not is_a(condition, ast.A_Expr) or condition.kind not in _EQUALITIES or condition.name[-1].sval != "=":
        return
    left, right = _members(condition.lexpr), _members(condition.rexpr)
    if len(left) == len(right):
        yield from zip(left, right, strict=True)
    else:  # a row and a query, or a list
        yield from ((member, condition.rexpr) for member in left)


def _members(node: Any) -> list[Any]:
    return list(node.args) if is_a(node, ast.RowExpr) else [node]


def _alias_of(node: Any, level: _Level) -> str | None:
    """Whose `account_id` this is: a relation of the level, else None. Without a qualifier it can be only one's."""
    if not is_a(node, ast.ColumnRef) or not is_a(node.fields[-1], ast.String):
        return None
    names = [part.sval for part in node.fields]
    if names[-1] != COLUMN:
        return None
    if len(names) > 1:
        return names[-2] if names[-2] in level.aliases else None
    if len(level.aliases) == 1:
        return next(iter(level.aliases))
    return next((alias for group in level.used for alias in sorted(group) if alias), None)  # what USING made one


def _names_account(insert: Any) -> bool:
    """Whether the columns that are inserted have the account."""
    return COLUMN in {column.name for column in insert.cols or ()}


def _shows_account(node: Any) -> bool:
    """Whether a query's own columns have the account."""
    shown = [target.val for target in getattr(node, "targetList", None) or ()]
    return any(is_a(value, ast.ColumnRef) and _last(value) in {COLUMN, None} for value in shown)  # None: all of them


def _last(column: Any) -> str | None:
    last = column.fields[-1]
    return last.sval if is_a(last, ast.String) else None


def _queries(node: Any) -> Iterator[Any]:
    """The queries right inside a node."""
    if is_a(node, ast.SelectStmt, ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt):
        yield node
    elif isinstance(node, (list, tuple)):
        for part in node:
            yield from _queries(part)
    elif is_a(node, ast.Node):
        for name in node:
            yield from _queries(getattr(node, name))
