"""One try at one document: claimed, fetched, read by the server, its result kept; or its failure judged."""

from __future__ import annotations

import secrets
import time
from threading import Event, Lock
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from cloister.v1 import ocr_pb2
from server.access import AccessError
from server.client import Client
from server.errors import CloisterError, CredentialError, OverloadedError, Reason, TransportError
from server.queue.keeper import End, Hold, Keeper
from server.queue.leases import Claim, Failure, Leases
from server.queue.metrics import Outcome, QueueMetrics
from server.queue.store import Store
from server.queue.verdict import Fate, verdict
from server.renderings import PAGE_BREAK

_LONGEST_PAUSE_S = 5.0


class _End(NamedTuple):
    outcome: Outcome
    reason: str = ""
    pause_s: float = 0.0


class Attempts:
    """Tries readings, several at a time in threads of the caller's.

    ``attempts`` are those that a document has, ``deadline_s`` the seconds of each. ``stop`` says that this worker goes.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        leases: Leases,
        keeper: Keeper,
        log: FilteringBoundLogger,
        *,
        attempts: int,
        deadline_s: float,
        stop: Event,
        metrics: QueueMetrics,
    ) -> None:
        self._client = client
        self._store = store
        self._leases = leases
        self._keeper = keeper
        self._log = log
        self._attempts = attempts
        self._deadline_s = deadline_s
        self._stop = stop
        self._metrics = metrics
        self._telling = Lock()
        self._ailment = ""

    def make(self, reading: str) -> None:
        """Try ``reading`` if it waits. What comes of it is in the ledger."""
        claim = self._leases.claim(reading, secrets.token_hex(16))
        if claim is None:
            return
        started_s = time.monotonic()
        outcome, reason = Outcome.UNRECORDED, ""
        try:
            with self._keeper.hold(claim) as hold:
                outcome, reason, pause_s = self._made(claim, hold)
        finally:
            self._metrics.attempt(outcome, reason, time.monotonic() - started_s)
        if outcome is Outcome.READ:
            self._metrics.result(time.time() - claim.submitted_s)
        elif outcome is Outcome.REFUSED:
            # The next document would meet the same.
            self._stop.wait(min(_LONGEST_PAUSE_S, pause_s))

    def _made(self, claim: Claim, hold: Hold) -> _End:
        try:
            return self._try(claim, hold)
        except CloisterError as error:
            return self._failed(claim, hold, error)
        except AccessError as error:
            return self._failed(claim, hold, CredentialError(Reason.NO_CREDENTIAL, str(error)))
        except FileNotFoundError:
            return self._bury(claim, Failure(Reason.DOCUMENT_LOST, f"{claim.document} is not in {self._store.place}"))
        except OSError as error:
            why = f"{self._store.place} can't be used: {error.strerror or type(error).__name__}"
            return self._failed(claim, hold, OverloadedError(Reason.QUEUE_UNREACHABLE, why))

    def _try(self, claim: Claim, hold: Hold) -> _End:
        document = self._store.get(claim.document)
        response = self._recognize(document, claim.options, hold)
        # Under a name of this try's own, so that a result which somebody has fetched is never changed.
        result = f"results/{claim.reading}/{claim.owner}"
        try:
            self._store.put(result, response.SerializeToString())
        except FileNotFoundError as error:
            raise OSError(error.errno, error.strerror) from error  # not the document, which was there
        if not self._leases.succeed(claim, result):
            self._store.delete(result)
            return _End(Outcome.UNWANTED)
        self._log.info("read", reading=claim.reading, pages=len(response.pages), tries=claim.attempts + 1)
        self._tell_of_server(None)
        if claim.losses:
            self._delete_others(claim.reading, result)
        return _End(Outcome.READ)

    def _recognize(self, document: bytes, options: ocr_pb2.RecognizeOptions, hold: Hold) -> ocr_pb2.RecognizeResponse:
        """What `Recognize` would answer, by way of a stream, which can be cancelled from another thread."""
        response = ocr_pb2.RecognizeResponse()
        context = ocr_pb2.RequestContext()
        context.CopyFrom(options.context)
        # Whoever waits at a screen goes first.
        context.priority = context.priority or ocr_pb2.PRIORITY_BATCH
        call = self._client.stream(
            document,
            engine=options.engine,
            outputs=options.outputs,
            pdf=options.pdf,
            context=context,
            deadline_s=self._deadline_s,
        )
        with call as pages:
            hold.cancels(pages.cancel)
            response.pages.extend(pages)
        response.files.extend(ocr_pb2.File(output=output, content=content) for output, content in pages.files.items())
        if pages.summary is None:
            raise CloisterError(Reason.MALFORMED_REPLY, "the server ended its answer before it was whole")
        response.provenance.CopyFrom(pages.summary.provenance)
        response.timings.CopyFrom(pages.summary.timings)
        if ocr_pb2.OUTPUT_TEXT in options.outputs:
            response.text = PAGE_BREAK.join(page.text for page in response.pages)
        return response

    def _failed(self, claim: Claim, hold: Hold, error: CloisterError) -> _End:
        if hold.ended is End.STOPPED:
            self._leases.give_up(claim)
            return _End(Outcome.STOPPED)
        if hold.ended is not None:
            return _End(Outcome.UNWANTED)
        failure = Failure(error.reason, error.message)
        judged = verdict(error, claim, self._attempts)
        if judged.fate is Fate.DEAD:
            return self._bury(claim, failure)
        counted = judged.fate is Fate.TRIED
        if not self._leases.put_back(claim, failure, due_s=time.time() + judged.pause_s, counted=counted):
            return _End(Outcome.UNWANTED)
        self._log.info("put back", reading=claim.reading, reason=failure.reason, counted=counted)
        self._tell_of_server(error)
        return _End(Outcome.FAILED if counted else Outcome.REFUSED, failure.reason, judged.pause_s)

    def _tell_of_server(self, error: CloisterError | None) -> None:
        """Once for each time that it can't be reached, or does not let us in, and once when it reads again."""
        if isinstance(error, OverloadedError):
            return
        ailment = error.reason if isinstance(error, CredentialError | TransportError) else ""
        with self._telling:
            if ailment == self._ailment:
                return
            self._ailment = ailment
        if ailment and error is not None:
            self._log.warning("the server does not read for this worker", reason=ailment, why=error.message)
        else:
            self._log.info("the server reads for this worker again")

    def _bury(self, claim: Claim, failure: Failure) -> _End:
        if not self._leases.bury(claim, failure):
            return _End(Outcome.UNWANTED)
        self._log.warning("dead letter", reading=claim.reading, reason=failure.reason, tries=claim.attempts + 1)
        return _End(Outcome.DEAD, failure.reason)

    def _delete_others(self, reading: str, result: str) -> None:
        """What workers left that ended between writing their result and saying so."""
        for name in self._store.names(f"results/{reading}"):
            if name != result:
                self._store.delete(name)
