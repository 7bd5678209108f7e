"""The application: the routes, what is around them, and how errors are answered."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from tradecap import __version__
from tradecap.errors import TradecapError
from tradecap.flows.joined import Joined
from tradecap.serve import events, models, page
from tradecap.serve.answers import retry
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules, App, Guard, KeptAnswers
from tradecap.serve.measures import Measures
from tradecap.serve.problems import TYPE, ProblemError
from tradecap.serve.routes import ROUTES, router
from tradecap.serve.sending import SECURITY, Api
from tradecap.serve.streams import Streams

ABOUT: Final = "What was captured, and what is proven of it."


class Application(FastAPI):
    """FastAPI with our errors in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if not self.openapi_schema:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            properties = {
                name: {"type": "integer" if kind is int else "string"}
                for name, kind in models.ProblemBody.__annotations__.items()
            }
            problem = {"type": "object", "title": "ProblemBody", "required": list(properties), "properties": properties}
            document["components"]["schemas"]["ProblemBody"] = problem
            self.openapi_schema = document
        return self.openapi_schema


def application(
    joined: Joined,
    rules: AccessRules,
    limits: ConnectionLimits,
    ills: Callable[[], list[str]],
    streams: Streams | None = None,
) -> tuple[App, Measures]:
    """All of it, and its figures. ills: what is wrong besides what log and store say. streams: those that others open
    too."""
    kept = KeptAnswers()
    streams = streams or Streams(joined)
    measures = Measures(joined, kept, limits, streams)
    fast = Application(title="tradecap", version=__version__, description=ABOUT, docs_url=None, redoc_url=None)
    fast.state.api = Api(joined, kept, measures, ills, streams)
    fast.include_router(router)
    fast.include_router(events.router)
    fast.include_router(page.router)
    for kind, answer in {
        ProblemError: _problem,
        TradecapError: _away,
        RequestValidationError: _invalid,
        HTTPException: _plain,
        Exception: _broken,
    }.items():
        fast.add_exception_handler(kind, answer)
    return measures.around(Guard(fast, rules, kept), frozenset(ROUTES)), measures


def _sent(problem: ProblemError) -> Response:
    return Response(problem.body(), problem.status, {**SECURITY, **problem.headers}, TYPE)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _sent(error)


async def _away(_: Request, error: Exception) -> Response:
    assert isinstance(error, TradecapError)
    return _sent(retry(error))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _sent(ProblemError(422, f"{first['loc'][-1]}: {first['msg']}.", "GET /docs lists the parameters."))


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    hints = {404: f"there is: {', '.join(ROUTES)}", 405: "everything here is read with GET."}
    detail = f"There is nothing at {request.url.path[:100]}." if error.status_code == 404 else str(error.detail)
    return _sent(
        ProblemError(
            error.status_code, detail, hints.get(error.status_code, "GET / lists the routes."), error.headers or {}
        )
    )


async def _broken(_: Request, __: Exception) -> Response:
    return _sent(
        ProblemError(500, "This answer failed.", "it is a bug: the lines on stderr of tradecap serve say more.")
    )
