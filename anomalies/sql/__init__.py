"""The statements of this folder, by name."""

from elections.sql import SqlFolder

statements = SqlFolder(__file__)
