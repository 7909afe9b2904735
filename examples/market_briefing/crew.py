"""Two analysts work at the same time; an editor waits for both."""

from crewai import Agent, Crew, Task
from crewai.tools import tool


@tool("latest_price")
def latest_price(company: str) -> str:
    """The last price of a company's share."""
    return f"{company}: 42.00 EUR"


def briefing_crew() -> Crew:
    reader = Agent(
        role="News Reader",
        goal="Know what is said about {company} today",
        backstory="Reads five newspapers before breakfast.",
        llm="openai/gpt-4o-mini",
    )
    analyst = Agent(
        role="Price Analyst",
        goal="Know what {company} costs today",
        backstory="Has watched the same ticker for thirty years.",
        tools=[latest_price],
        llm="openai/gpt-4o-mini",
    )
    editor = Agent(
        role="Editor",
        goal="Brief the board on {company} in one line",
        backstory="Deletes every second word.",
        llm="openai/gpt-4o-mini",
    )
    news = Task(
        name="news",
        description="Report the news of {company}.",
        expected_output="One line",
        agent=reader,
        async_execution=True,
    )
    prices = Task(
        name="prices",
        description="Report the price of {company}.",
        expected_output="One line",
        agent=analyst,
        async_execution=True,
    )
    brief = Task(
        name="brief",
        description="Write the briefing on {company}.",
        expected_output="One line",
        agent=editor,
        context=[news, prices],
    )
    return Crew(name="briefing", agents=[reader, analyst, editor], tasks=[news, prices, brief])
