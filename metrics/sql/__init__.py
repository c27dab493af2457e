"""The statements of the statistics, by name."""

from elections.sql import SqlFolder

statements = SqlFolder(__file__)
