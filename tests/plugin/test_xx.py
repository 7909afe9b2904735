def test_a(crews):
    crews.tests("""
def test_one(crewai_trace):
    run(react("search", query="AI"), final("done"), tools=[search])
    assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"})]
def test_two():
    run()
    assert 0
def test_three(): pass
""")
    r = crews.run("--crewai-trace")
    print(crews.trees)
    assert 0
def test_b(crews):
    crews.tests("""
def test_one(crewai_trace):
    run(react("search", query="AI"), final("done"), tools=[search])
    assert crewai_trace.tool_calls == [ToolCall("search", {"query": "AI"})]
""")
    r = crews.run("--crewai-trace")
    print(crews.trees)
    assert 0
def test_x(project):
    project.tests("""
@pytest.mark.crewai_trace(enabeld=True)
def test_one(crewai_trace):
    pass
""", crews=False)
    r = project.run()
    r = project.run_apart("-p", "xdist.plugin", "-n1")
    assert 0
