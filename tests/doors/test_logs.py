"""Log records lead to the prediction they were written in, in threads and tasks of their own as well."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from pathlib import Path

from whimbrel.doors.logs import PredictionId
from whimbrel.record import Recorder


def test_each_record_bears_the_id_of_its_prediction(tmp_path: Path) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(PredictionId())
    handler.setFormatter(logging.Formatter("%(prediction_id)s|%(message)s"))
    logger = logging.Logger("app")
    logger.addHandler(handler)
    recorder = Recorder("fares", home=tmp_path)

    async def one(name: str) -> str:
        with recorder.prediction({"name": name}) as p:
            await asyncio.sleep(0.001)
            logger.info(name)
            return f"{p.id}|{name}"

    async def both() -> tuple[str, str]:
        return await asyncio.gather(one("a"), one("b"))

    expected = asyncio.run(both())
    logger.info("outside")
    with recorder.prediction({}, id="ride 7"):
        logger.info("inside")
        thread = threading.Thread(target=lambda: logger.info("another thread"))
        thread.start()
        thread.join()
    lines = out.getvalue().splitlines()
    assert sorted(lines[:2]) == sorted(expected)
    assert lines[2:] == ["|outside", "ride 7|inside", "|another thread"]
