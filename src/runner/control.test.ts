/** The control server's guards, over real sockets with every header as it is sent. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { guess, standingClock } from "../../test/fixtures/guesses.ts";
import { realClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { type ControlServer, controlPaths, startControl } from "./control.ts";

const secret = "the-control-secret";
let control: ControlServer;
const sources = {
  status: () => ({ agent: "alice" }),
  records: async () => [],
};
beforeAll(() => {
  control = startControl({ port: 0, secret, sources, clock: realClock });
});
afterAll(() => control.close());

type Request = { method?: string; path?: string; headers: Record<string, string> };

/** One request written byte by byte, because `fetch` would not send a false Host. */
async function send({
  method = "GET",
  path = "/status",
  headers,
}: Request): Promise<{ status: number; body: string }> {
  let text = "";
  const ended = Promise.withResolvers<void>();
  const lines = Object.entries({ ...headers, Connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: control.port,
    socket: {
      data: (_, bytes) => {
        text += bytes.toString();
      },
      close: () => ended.resolve(),
    },
  });
  socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
  await ended.promise;
  const [head = "", body = ""] = text.split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), body: body.trim() };
}

const bearer = { Authorization: `Bearer ${secret}` };
const host = (name: string) => ({ Host: `${name}:${control.port}` });

test.each(["127.0.0.1", "localhost", "[::1]"])("the owner at %s is answered", async (name) => {
  expect(await send({ headers: { ...host(name), ...bearer } })).toEqual({
    status: 200,
    body: '{"agent":"alice"}',
  });
});

test("records are an object with a list", async () => {
  expect(await send({ path: controlPaths.records, headers: { ...host("127.0.0.1"), ...bearer } })).toEqual({
    status: 200,
    body: '{"records":[]}',
  });
});

describe("P4: is refused", () => {
  const cases: { what: string; request: () => Request; status: number; body: string }[] = [
    {
      what: "another host, secret or not",
      request: () => ({ headers: { ...host("attacker.example"), ...bearer } }),
      status: 403,
      body: "this address is not served",
    },
    {
      what: "the right host with another port",
      request: () => ({ headers: { Host: "127.0.0.1:1", ...bearer } }),
      status: 403,
      body: "this address is not served",
    },
    {
      what: "a foreign origin",
      request: () => ({ headers: { ...host("127.0.0.1"), ...bearer, Origin: "http://attacker.example" } }),
      status: 403,
      body: "pages may not ask this",
    },
    {
      what: "the origin null",
      request: () => ({ headers: { ...host("127.0.0.1"), ...bearer, Origin: "null" } }),
      status: 403,
      body: "pages may not ask this",
    },
    {
      what: "no secret",
      request: () => ({ headers: host("127.0.0.1") }),
      status: 401,
      body: "the control secret is missing or wrong",
    },
    {
      what: "a wrong secret, in the same words",
      request: () => ({ headers: { ...host("127.0.0.1"), Authorization: "Bearer the-control-secreT" } }),
      status: 401,
      body: "the control secret is missing or wrong",
    },
    {
      what: "another method",
      request: () => ({ method: "DELETE", headers: { ...host("127.0.0.1"), ...bearer } }),
      status: 405,
      body: "only GET is served",
    },
    {
      what: "another path",
      request: () => ({ path: "/secrets", headers: { ...host("127.0.0.1"), ...bearer } }),
      status: 404,
      body: "there is no /secrets",
    },
  ];

  test.each(cases)("$what", async ({ request, status, body }) => {
    expect(await send(request())).toEqual({ status, body });
  });
});

test("a failing source is told without its words", async () => {
  const broken = startControl({
    port: 0,
    secret,
    clock: realClock,
    sources: { ...sources, records: () => Promise.reject(new Error("row 17 of a private file")) },
  });
  const answer = await fetch(`${broken.url}${controlPaths.records}`, { headers: bearer });
  expect([answer.status, await answer.text()]).toEqual([500, "the control server failed\n"]);
  broken.close();
});

test("a port that somebody took meanwhile gives way to another one", () => {
  const other = startControl({ port: control.port, secret, sources, clock: realClock });
  expect(other.port).not.toBe(control.port);
  other.close();
});

test("the port served before is served again", () => {
  const first = startControl({ port: 0, secret, sources, clock: realClock });
  first.close();
  const second = startControl({ port: first.port, secret, sources, clock: realClock });
  expect(second.url).toBe(first.url);
  second.close();
});

test("[P4.5] S5: guesses at the secret are slowed, its owner is not", async () => {
  const clock = standingClock(limits.failedLoginDelayMs);
  const guessed = startControl({ port: 0, secret, sources, clock });
  const ask = async (authorization: string | undefined) => {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await fetch(`${guessed.url}${controlPaths.status}`, { headers });
    return `${answer.status} ${await answer.text()}`;
  };
  const no = "401 the control secret is missing or wrong\n";
  expect(await guess({ clock, ask, right: `Bearer ${secret}`, wrong: "Bearer another" })).toEqual({
    first: Array(10).fill(no),
    right: Array(5).fill('200 {"agent":"alice"}'),
    early: [],
    late: [no, no],
  });
  guessed.close();
});
