"""The crew that the flow calls: one author, one critic."""

from crewai import Agent, Crew, Task


def writing_crew() -> Crew:
    author = Agent(
        role="Author",
        goal="Write about {topic}",
        backstory="Writes every day, and rewrites every evening.",
        llm="openai/gpt-4o-mini",
    )
    critic = Agent(
        role="Critic",
        goal="Find what is wrong with a text about {topic}",
        backstory="Has never yet read a first draft that was finished.",
        llm="openai/gpt-4o-mini",
    )
    draft = Task(
        name="draft",
        description="Write a paragraph about {topic}. Heed this remark on the last version: {remark}",
        expected_output="One paragraph",
        agent=author,
    )
    judge = Task(
        name="judge",
        description="Judge the paragraph.",
        expected_output="The word APPROVE, or a remark on what is to be changed",
        agent=critic,
        context=[draft],
    )
    return Crew(name="writing", agents=[author, critic], tasks=[draft, judge])
