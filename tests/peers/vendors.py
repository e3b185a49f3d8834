"""The vendors' own clients against the tests' model server: what they send is accepted, what they get fits their types, and errors are theirs."""

import anthropic
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from server import check, model_server

KEY = "sk-peer-test"
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
USAGE = {"input": 100, "output": 20, "cached": 60, "cache_written": 30}
CALLS = [{"name": "look", "arguments": {"name": "web"}}, {"name": "look", "arguments": {"name": "db"}}]
TURNS = [
    {"fault": {"status": {"code": 429, "retry_after": "0"}}},
    {"fault": {"status": {"code": 529, "retry_after": "0"}}},
    {"reply": {"text": "I look.", "calls": CALLS, "usage": USAGE}},
    {"reply": {"text": "All is well."}},
    {"reply": {"text": "Half", "stop": "max_tokens"}},
    {"reply": {"text": "No.", "stop": "refusal"}},
]


def with_anthropic():
    print(f"anthropic {anthropic.__version__}")
    with model_server(TURNS, key=KEY) as url:
        client = anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=2)
        mark = {"type": "ephemeral"}
        ask = dict(
            model="claude-test",
            max_tokens=100,
            system=[{"type": "text", "text": "You look.", "cache_control": mark}],
            tools=[{"name": "look", "description": "Looks.", "input_schema": SCHEMA, "cache_control": mark}],
        )
        messages = [{"role": "user", "content": "Go."}]
        reply = client.messages.create(messages=messages, **ask)
        Message.model_validate(reply.to_dict(), strict=True)
        check(True, "after 429 and 529 the reply has the vendor's type")
        check([block.type for block in reply.content] == ["text", "tool_use", "tool_use"], "text and two calls")
        check(reply.stop_reason == "tool_use" and reply.content[1].input == {"name": "web"}, "stop reason and arguments")
        usage = reply.usage
        counted = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
        check(counted == (10, 30, 60, 20), "tokens, cached ones apart")
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": "fine"} for block in reply.content[1:]]
        messages += [{"role": "assistant", "content": reply.to_dict()["content"]}, {"role": "user", "content": results}]
        last = client.messages.create(messages=messages, tool_choice={"type": "none"}, **ask)
        check(last.content[0].text == "All is well." and last.stop_reason == "end_turn", "calls and results are accepted")
        stops = [client.messages.create(messages=messages[:1], **ask).stop_reason for _ in range(2)]
        check(stops == ["max_tokens", "refusal"], "reasons to stop")
        expect(anthropic.BadRequestError, lambda: client.messages.create(messages=messages[:2], **ask), "a call without its result")
        expect(anthropic.BadRequestError, lambda: client.messages.create(messages=messages[:1], extra_body={"seed": 1}, **ask), "an unknown field")
        stranger = anthropic.Anthropic(base_url=url, api_key="sk-wrong")
        expect(anthropic.AuthenticationError, lambda: stranger.messages.create(messages=messages[:1], **ask), "a wrong key")
    statuses(lambda url: anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0).messages.create(messages=[{"role": "user", "content": "Go."}], **ask), anthropic)


def with_openai():
    print(f"openai {openai.__version__}")
    with model_server(TURNS, key=KEY) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=2)
        tool = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
        ask = dict(model="gpt-test", max_completion_tokens=100, tools=[tool])
        messages = [{"role": "system", "content": "You look."}, {"role": "user", "content": "Go."}]
        reply = client.chat.completions.create(messages=messages, **ask)
        ChatCompletion.model_validate(reply.to_dict(), strict=True)
        check(True, "after 429 and 529 the reply has the vendor's type")
        said = reply.choices[0]
        check(said.finish_reason == "tool_calls" and len(said.message.tool_calls) == 2, "stop reason and two calls")
        check(said.message.tool_calls[1].function.arguments == '{"name":"db"}', "arguments are the text of JSON")
        check((reply.usage.prompt_tokens, reply.usage.prompt_tokens_details.cached_tokens) == (100, 60), "tokens, cached ones within")
        results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in said.message.tool_calls]
        answer = {"role": "assistant", "content": said.message.content, "tool_calls": [call.to_dict() for call in said.message.tool_calls]}
        last = client.chat.completions.create(messages=messages + [answer] + results, tool_choice="none", **ask)
        check(last.choices[0].message.content == "All is well.", "calls and results are accepted")
        check(client.chat.completions.create(messages=messages, **ask).choices[0].finish_reason == "length", "a reply that was cut off")
        check(client.chat.completions.create(messages=messages, **ask).choices[0].message.refusal == "No.", "a refusal")
        expect(openai.BadRequestError, lambda: client.chat.completions.create(messages=messages + [answer], **ask), "a call without its result")
        expect(openai.BadRequestError, lambda: client.chat.completions.create(messages=messages, extra_body={"top_k": 1}, **ask), "an unknown field")
        stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-wrong")
        expect(openai.AuthenticationError, lambda: stranger.chat.completions.create(messages=messages, **ask), "a wrong key")
    statuses(lambda url: openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0).chat.completions.create(messages=messages, **ask), openai)


def statuses(ask, vendor):
    """Each misbehaviour is the vendor's own exception."""
    for fault, error in [
        ({"status": {"code": 429}}, vendor.RateLimitError),
        ({"status": {"code": 500}}, vendor.InternalServerError),
        ({"status": {"code": 529}}, vendor.InternalServerError),
        ({"status": {"code": 404}}, vendor.NotFoundError),
        ("truncated", vendor.APIConnectionError),
    ]:
        with model_server([{"fault": fault}]) as url:
            expect(error, lambda: ask(url), f"{fault}", also=Exception if fault == "truncated" else None)


def expect(error, call, what, also=None):
    try:
        call()
    except error as raised:
        return check(True, f"{what}: {type(raised).__name__}")
    except Exception as raised:
        # A body that breaks off is an error of the HTTP library in some versions.
        return check(also is not None and isinstance(raised, also), f"{what}: {type(raised).__name__}")
    check(False, f"{what} is an error")


with_anthropic()
with_openai()
