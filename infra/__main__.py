"""Where Pulumi starts: the platform of the selected stack."""

from infra import program

program.build()
