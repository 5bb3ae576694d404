/** The client against answers that are not a relay's, and none at all. */
import { expect, test } from "bun:test";
import { createClient } from "./client.ts";

type Answer = (request: Request) => Response | Promise<Response>;

function serve(answer: Answer): AsyncDisposable & { url: string } {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  return { url: `http://127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.stop(true) };
}

const strangers: { what: string; answer: Answer }[] = [
  {
    what: "an HTML page",
    answer: () => new Response("<html>", { headers: { "Content-Type": "text/html" } }),
  },
  { what: "other JSON", answer: () => Response.json({ agents: "many" }) },
  { what: "a redirect", answer: () => Response.redirect("http://127.0.0.1:1/", 302) },
  { what: "a gateway's 502", answer: () => new Response("bad gateway", { status: 502 }) },
  { what: "another program's problem", answer: () => Response.json({ title: "no" }, { status: 404 }) },
];

test.each(strangers)("$what is not a relay: unreachable, unknown whether it was done", async ({ answer }) => {
  await using stranger = serve(answer);
  const client = createClient({ url: stranger.url, token: () => "t" });
  const error = await client.listAgents({}).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "RelayUnreachable", sent: "unknown" });
});

test("P5: nothing listens: certainly not sent; no answer in time: unknown", async () => {
  const gone = serve(() => new Response());
  await gone[Symbol.asyncDispose]();
  const refused = createClient({ url: gone.url, token: () => undefined }).getRelay({});
  expect(await refused.catch((thrown: unknown) => thrown)).toMatchObject({
    name: "RelayUnreachable",
    sent: "no",
  });
  await using mute = serve(() => new Promise<Response>(() => {}));
  const late = createClient({ url: mute.url, token: () => undefined, timeoutMs: 50 }).getRelay({});
  const error = await late.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "RelayUnreachable", sent: "unknown" });
  expect(String(error)).toContain("took longer than 50 ms");
});

test("a problem of the relay becomes its error, with code and data", async () => {
  const problem = {
    type: "urn:agent-relay:error:name_taken",
    code: "name_taken",
    detail: "d",
    data: { a: 1 },
  };
  await using relay = serve(() => Response.json(problem, { status: 409 }));
  const error = await createClient({ url: relay.url, token: () => "t" })
    .listAgents({})
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "RelayError", code: "name_taken", message: "d", data: { a: 1 } });
});

test("members go where the row puts them: path, query or body", async () => {
  const seen: { line: string; authorization: string | null; body: string }[] = [];
  await using relay = serve(async (request) => {
    const { pathname, search } = new URL(request.url);
    seen.push({
      line: `${request.method} ${pathname}${search}`,
      authorization: request.headers.get("authorization"),
      body: await request.text(),
    });
    return Response.json({ acknowledgedSeq: 1, messages: [], more: false, generation: 1 });
  });
  const client = createClient({ url: `${relay.url}/`, token: () => "t" });
  await client.readInbox({ agent: "a.b", afterSeq: 3, unread: "true" });
  await client.acknowledgeInbox({ agent: "a.b", seq: 1 });
  expect(seen).toEqual([
    { line: "GET /api/v1/inboxes/a.b?afterSeq=3&unread=true", authorization: "Bearer t", body: "" },
    { line: "POST /api/v1/inboxes/a.b/acknowledgements", authorization: "Bearer t", body: '{"seq":1}' },
  ]);
});

test("P4: a token for this machine never goes through a proxy of the environment", async () => {
  const proxied: string[] = [];
  await using proxy = serve((request) => {
    proxied.push(request.url);
    return new Response("proxied");
  });
  await using relay = serve(() => Response.json({ agents: [] }));
  const before = process.env.HTTP_PROXY;
  process.env.HTTP_PROXY = proxy.url;
  try {
    expect(await (await fetch(relay.url)).text()).toBe("proxied");
    expect(await createClient({ url: relay.url, token: () => "t" }).listAgents({})).toEqual({ agents: [] });
  } finally {
    Object.assign(process.env, { HTTP_PROXY: before ?? "" });
  }
  expect(proxied).toHaveLength(1);
});
