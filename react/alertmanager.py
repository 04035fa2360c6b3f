"""What Alertmanager posts to a webhook: version 4 of its payload."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from react.decide import Alert


def _storable(text: str) -> str:
    """PostgreSQL keeps no character 0; halves of surrogate pairs are no JSON to begin with."""
    if "\0" in text:
        raise ValueError("it has a character that cannot be kept")
    return text


Text = Annotated[str, AfterValidator(_storable)]


class Told(BaseModel):
    """One alert."""

    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[Text, Text]
    annotations: dict[Text, Text] = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    fingerprint: Annotated[Text, Field(min_length=1, max_length=64)]

    def alert(self, now: datetime) -> Alert:
        return Alert(self.fingerprint, self.labels, self.starts_at, now, self.status == "firing")


class Payload(BaseModel):
    """A request of Alertmanager's."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    receiver: Text
    truncated: int = Field(0, alias="truncatedAlerts")
    alerts: list[Told]
