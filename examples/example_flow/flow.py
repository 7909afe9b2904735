"""A flow of three methods that share a state, written twice: as it looks right, and as it works."""

from crewai.flow.flow import Flow, listen, router, start
from pydantic import BaseModel


class ExampleState(BaseModel):
    counter: int = 0
    message: str = ""


class ExampleFlow(Flow[ExampleState]):
    """Listens for the words that its methods return. Only a router's word is a route, so this one stops early."""

    def __init__(self) -> None:
        super().__init__(tracing=True)

    @start()
    def first_method(self) -> str:
        self.state.counter = 1
        self.state.message = "started"
        return "continue"

    @listen("continue")
    def second_method(self) -> str:
        self.state.counter += 1
        self.state.message = "continued"
        return "finish"

    @listen("finish")
    def final_method(self) -> str:
        self.state.counter += 1
        self.state.message = "completed"
        return self.state.message


class RoutedExampleFlow(Flow[ExampleState]):
    """The same way through with a router, which may also stop it."""

    def __init__(self) -> None:
        super().__init__(tracing=True)

    @start()
    def first_method(self) -> str:
        self.state.counter += 1
        self.state.message = "started"
        return "continue"

    @router(first_method)
    def second_method(self) -> str:
        self.state.counter += 1
        self.state.message = "continued"
        return "finish" if self.state.counter < 10 else "stop"

    @listen("finish")
    def final_method(self) -> str:
        self.state.counter += 1
        self.state.message = "completed"
        return self.state.message

    @listen("stop")
    def stop_method(self) -> str:
        raise RuntimeError(f"{self.state.counter} is too much")
