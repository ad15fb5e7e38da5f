"""What the page is started with: address, where the service is, limits.

The only place in ``app`` that reads the environment (prefix ``OFFRAMP_``). The command line may
override the fields it offers; everything else receives values, never the environment.
"""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class AppSettings(BaseSettings):
    """Settings of the page process."""

    model_config = SettingsConfigDict(env_prefix="OFFRAMP_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address the page listens on.")
    port: int = Field(default=7860, ge=1, le=65535, description="Port of the page.")
    api_port: int = Field(
        default=8000, ge=1, le=65535, description="Port of the service; ignored with an API URL."
    )
    api_url: str | None = Field(
        default=None, description="Where the service answers; on this machine when absent."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Sent to the service as a bearer token."
    )
    max_upload_mib: int = Field(
        default=24, ge=1, le=1024, description="Largest file a visitor may send."
    )
    mcp: bool = Field(
        default=False,
        description="Offer the page's calls to assistants as MCP tools at /gradio_api/mcp/.",
    )
    request_timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="How long to wait for an answer."
    )

    @property
    def service_url(self) -> str:
        """Address of the service without a slash at its end."""
        return (self.api_url or f"http://127.0.0.1:{self.api_port}").rstrip("/")
