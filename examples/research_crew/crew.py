"""One agent searches the web, the other turns what it found into an article."""

from crewai import Agent, Crew, Process, Task
from crewai_tools import SerperDevTool


def research_crew(search: SerperDevTool | None = None) -> Crew:
    """The crew; ``search`` needs SERPER_API_KEY in the environment when it is used."""
    researcher = Agent(
        role="Senior Research Analyst",
        goal="Find out what is new in {topic} and what of it will last",
        backstory="A former librarian who trusts no claim before it has been seen in two places.",
        tools=[search or SerperDevTool()],
        llm="openai/gpt-4o-mini",
        verbose=True,
    )
    strategist = Agent(
        role="Tech Content Strategist",
        goal="Explain {topic} to people who build software",
        backstory="An engineer turned editor: short sentences, no hype, one idea for each paragraph.",
        llm="openai/gpt-4o-mini",
        verbose=True,
    )
    research = Task(
        name="research",
        description="Search the web for this year's news on {topic}. Note what changed and why it matters.",
        expected_output="A list of findings, each with its source",
        agent=researcher,
    )
    write = Task(
        name="write",
        description="Write an article on {topic} from the findings, for readers who know how to program.",
        expected_output="An article of four paragraphs in Markdown",
        agent=strategist,
    )
    return Crew(
        agents=[researcher, strategist],
        tasks=[research, write],
        process=Process.sequential,
        tracing=True,
        verbose=True,
    )
