"""Messages as files in a folder, for a queue with no service to start: kombu's transport, but for how it writes.

kombu's own makes a message's file and then fills it, so that a reader in another process may take it while it is empty,
and its worker ends over that.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

SCHEME = "cloister-folder"


class Channel(filesystem.Channel):  # type: ignore[misc]
    def _put(self, queue: str, payload: object, **_: Any) -> None:
        name = f"{uuid4().hex}.{queue}.msg"
        # The reader lists names that end in the queue's, and this does not until it is whole.
        part = os.path.join(self.data_folder_out, f"{name}.part")
        try:
            with open(part, "wb") as file:
                file.write(dumps(payload).encode())
            os.rename(part, os.path.join(self.data_folder_out, name))
        except OSError as error:
            raise ChannelError(f"a message can't be written to {self.data_folder_out}") from error


class Transport(filesystem.Transport):  # type: ignore[misc]
    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
