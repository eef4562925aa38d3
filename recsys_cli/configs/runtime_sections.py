"""The settings of what a run may use: cores, memory and the network."""

import re

from pydantic import Field, field_validator

from recsys_cli.configs.fields import Section
from recsys_cli.utils.storage.network_limits import NetworkLimits

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class RuntimeSettings(Section):
    threads: int = Field(0, ge=0, le=1024, description="0, or more than there are: all cores")
    max_memory: str = Field(
        "",
        description='memory that score and train may use, such as "2GB": bounds the chunks of users, the '
        "rows that the ranker is trained on and the LightFM fits that run in parallel; empty: no bound",
    )

    @field_validator("max_memory")
    @classmethod
    def _valid_amount(cls, value: str) -> str:
        if value and re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|TB)", value) is None:
            raise ValueError(f"must be a number and MB, GB or TB, such as 2GB, not {value!r}")
        return value

    @property
    def max_memory_bytes(self) -> int | None:
        """The bound in bytes; None: no bound."""
        if not self.max_memory:
            return None
        return int(float(self.max_memory[:-2]) * _UNITS[self.max_memory[-2:]])


class NetworkSettings(Section):
    """What one source of the web, or one call of a store, may take."""

    max_seconds: float = Field(
        NetworkLimits.max_seconds,
        ge=1,
        le=86_400,
        description="time in all, with every try and every wait that a server asks for (Retry-After)",
    )
    max_gigabytes: float = Field(
        NetworkLimits.max_gigabytes, gt=0, le=100_000, description="size of one file; larger ones are refused"
    )
    redirect_hosts: list[str] = Field(
        [],
        description="other hosts that a web server may redirect to; *.example.org: all below it; Google "
        "Drive's own are known",
    )
