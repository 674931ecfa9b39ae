"""How commands read files that somebody names: regular ones, up to a limit."""

from pathlib import Path

from sequencer.model.refusals import Reason, Refused


def read_limited(path: Path, bytes_max: int) -> bytes:
    """Return a file's content. Refusal: FILE_UNREADABLE, which names neither device nor pipe."""
    try:
        if path.exists() and not path.is_file():
            raise Refused(Reason.FILE_UNREADABLE, f"{path}: not a file")
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise Refused(Reason.FILE_UNREADABLE, f"{path}: {error.strerror}") from None
    if len(content) > bytes_max:
        raise Refused(Reason.FILE_UNREADABLE, f"{path}: over {bytes_max} bytes")
    return content
