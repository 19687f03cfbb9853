"""The output path of one control plane: store, ingest and hub, put together."""

from __future__ import annotations

from pathlib import Path

from jobs_grpc.controlplane.output.hub import Hub, HubSettings, StateOf
from jobs_grpc.controlplane.output.ingest import Ingest, IngestSettings
from jobs_grpc.controlplane.output.log.disk import Disk
from jobs_grpc.controlplane.output.store import OutputStore, StoreSettings
from jobs_grpc.runtime.clock import Clock
from jobs_grpc.runtime.tasks import Supervisor


class Output:
    """`run` it in a task; `close` it to end that."""

    def __init__(
        self,
        root: Path,
        state_of: StateOf,
        *,
        store_settings: StoreSettings | None = None,
        ingest_settings: IngestSettings | None = None,
        hub_settings: HubSettings | None = None,
        disk: Disk | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.store = OutputStore(root, settings=store_settings, disk=disk)
        self.hub = Hub(self.store, state_of, settings=hub_settings, clock=clock)
        self.ingest = Ingest(
            self.store,
            on_stored=self.hub.publish,
            settings=ingest_settings,
        )

    async def run(self) -> None:
        """Serve until `close`; the failure of any loop is the failure of this."""
        async with Supervisor() as tasks:
            tasks.start(self.hub.run(), name="output hub")
            await self.ingest.run()

    async def close(self) -> None:
        """Store what was taken, cut the followers off, close every file."""
        await self.ingest.close()
        self.hub.close()
        await self.store.close()
