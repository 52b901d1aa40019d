"""Lanes: quick requests go two at a time, and slow ones make room for them."""

import threading

import anyio
import pytest
from anyio.to_thread import current_default_thread_limiter, run_sync
from fastapi import FastAPI

from touchline.web.lanes import QUICK, lanes


def test_slow_requests_do_not_keep_a_quick_one_waiting() -> None:
    end = threading.Event()

    async def main() -> None:
        async with lanes(FastAPI()), anyio.create_task_group() as tasks:
            for _ in range(3 * QUICK):
                tasks.start_soon(run_sync, end.wait)
            with anyio.fail_after(10):
                assert await run_sync(threading.get_ident) != threading.get_ident()
            end.set()

    anyio.run(main)


def test_quick_requests_go_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("touchline.web.lanes.PATIENCE", 60.0)
    lock, at_once, most = threading.Lock(), 0, 0

    def quick() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.002)
        with lock:
            at_once -= 1

    async def main() -> None:
        async with lanes(FastAPI()), anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(run_sync, quick)

    anyio.run(main)
    assert most == QUICK


def test_when_the_slow_ones_have_ended_there_are_as_few_lanes_as_before() -> None:
    async def main() -> None:
        async with lanes(FastAPI()):
            limiter, end = current_default_thread_limiter(), threading.Event()

            async def becomes(tokens: int) -> None:
                for _ in range(1_000):
                    if limiter.total_tokens == tokens:
                        return
                    await anyio.sleep(0.01)
                pytest.fail(f"{limiter.total_tokens} lanes and not {tokens}")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run_sync, end.wait)
                await becomes(QUICK + 1)
                end.set()
            await becomes(QUICK)

    anyio.run(main)
