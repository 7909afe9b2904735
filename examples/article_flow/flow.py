"""A flow that has a crew write, and sends the text back until its critic approves."""

from crewai.flow.flow import Flow, listen, or_, router, start
from pydantic import BaseModel

from examples.article_flow.crew import writing_crew


class ArticleState(BaseModel):
    topic: str = ""
    text: str = ""
    remark: str = "none"
    drafts: int = 0


class ArticleFlow(Flow[ArticleState]):
    max_drafts: int = 3

    @start()
    def write(self) -> str:
        return self._draft()

    @router(or_("write", "rewrite"))
    def review(self, verdict: str) -> str:
        if verdict == "APPROVE":
            return "approve"
        if self.state.drafts == self.max_drafts:
            raise RuntimeError(f"not approved after {self.max_drafts} drafts: {verdict}")
        self.state.remark = verdict
        return "revise"

    @listen("revise")
    def rewrite(self) -> str:
        return self._draft()

    @listen("approve")
    def publish(self) -> str:
        return self.state.text

    def _draft(self) -> str:
        output = writing_crew().kickoff(inputs={"topic": self.state.topic, "remark": self.state.remark})
        self.state.text = output.tasks_output[0].raw
        self.state.drafts += 1
        return output.raw
