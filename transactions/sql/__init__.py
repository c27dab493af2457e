"""The statements of the ledger, by name."""

from elections.sql import SqlFolder

statements = SqlFolder(__file__)
