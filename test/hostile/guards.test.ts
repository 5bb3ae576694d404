/**
 * Whom the endpoint lets in: every way to write a foreign address as `Host` or `Origin`, sent byte by byte with the
 * right secret and a valid call, so that nothing but the guard stands between it and the upstream.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startVictim, type Victim } from "./victim.ts";
import { askOnce, postBytes } from "./wire.ts";

let victim: Victim;
beforeAll(async () => {
  victim = await startVictim();
});
afterAll(() => victim[Symbol.asyncDispose]());

const call = JSON.stringify({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { name: "alpha", arguments: {} },
});

/** Header lines of a valid call but for `Host` and `Origin`. */
function lines(): string[] {
  return [
    `Authorization: Bearer ${victim.secret}`,
    "Content-Type: application/json",
    "Accept: application/json",
  ];
}

/** `P` stands for the endpoint's port, `Q` for the next one. */
const at = (text: string) =>
  text.replaceAll("P", String(victim.port)).replaceAll("Q", String(victim.port + 1));

const hosts = [
  ...["evil.com", "evil.com:P", "127.evil.com:P", "127.0.0.1.evil.com:P", "localhost.evil.com:P"],
  ...["0x7f.1:P", "0x7f000001:P", "2130706433:P", "017700000001:P", "0177.0.0.1:P", "127.1:P", "127.0.1:P"],
  ...[
    "0.0.0.0:P",
    "0:P",
    "127.0.0.2:P",
    "127.0.0.1.:P",
    "localhost.:P",
    "localhost.localdomain:P",
    "ip6-localhost:P",
  ],
  ...[
    "[::]:P",
    "[::ffff:127.0.0.1]:P",
    "[::ffff:7f00:1]:P",
    "[0:0:0:0:0:0:0:1]:P",
    "[::1%25lo]:P",
    "::1:P",
    "[::1]",
  ],
  ...[
    "user@127.0.0.1:P",
    "user:P@127.0.0.1:P",
    "127.0.0.1:P@evil.com",
    "evil.com#127.0.0.1:P",
    "127.0.0.1:P#",
    "127.0.0.1:P?",
  ],
  ...[
    "127.0.0.1",
    "localhost",
    "127.0.0.1:",
    "127.0.0.1:Q",
    "127.0.0.1:0P",
    "127.0.0.1:80",
    "localhost:Q",
    "127.0.0.1:+P",
  ],
  ...[
    "LOCALHOST:P",
    "LocalHost:P",
    "127.0.0.1:P,evil.com",
    "127.0.0.1:P, 127.0.0.1:P",
    "127.0.0.1:P/evil",
    "127.0.0.1 :P",
  ],
  ...[
    "http://127.0.0.1:P",
    "//127.0.0.1:P",
    "ｌocalhost:P",
    "127。0。0。1:P",
    "①27.0.0.1:P",
    "xn--localhost-:P",
    "locаlhost:P",
  ],
  ...[
    "169.254.169.254:P",
    "10.0.0.1:P",
    "rebound.example:P",
    "*:P",
    "null",
    "-",
    "%31%32%37.0.0.1:P",
    "127.0.0.1%00:P",
  ],
];

const origins = [
  ...[
    "null",
    "NULL",
    "file://",
    "about:blank",
    "data:",
    "blob:http://127.0.0.1:P/1",
    "http://evil.com",
    "https://evil.com:P",
  ],
  ...[
    "https://127.0.0.1:P",
    "https://localhost:P",
    "http://127.0.0.1",
    "http://127.0.0.1:Q",
    "http://127.0.0.1:P/",
    "http://127.0.0.1:P/mcp",
  ],
  ...[
    "http://127.0.0.1:P.evil.com",
    "http://localhost:P.evil.com",
    "http://127.0.0.1.evil.com:P",
    "http://127.evil.com:P",
  ],
  ...[
    "HTTP://127.0.0.1:P",
    "http://LOCALHOST:P",
    "http://localhost.:P",
    "http://0.0.0.0:P",
    "http://127.1:P",
    "http://127.0.0.2:P",
  ],
  ...[
    "http://[::]:P",
    "http://[::ffff:127.0.0.1]:P",
    "http://user@127.0.0.1:P",
    "ws://127.0.0.1:P",
    "//127.0.0.1:P",
    "127.0.0.1:P",
  ],
  ...[
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://0198c0de",
    "safari-web-extension://1",
    "vscode-webview://1",
  ],
  ...[
    "app://obsidian.md",
    "capacitor://localhost",
    "tauri://localhost",
    "http://127.0.0.1:P http://evil.com",
    "*",
    "-",
  ],
];

/** Requests that are hostile by their form, not by one value. */
const shapes: readonly { what: string; request(): Buffer }[] = [
  { what: "no Host", request: () => postBytes(lines(), call) },
  { what: "an empty Host", request: () => postBytes(["Host:", ...lines()], call) },
  { what: "HTTP/1.0 without Host", request: () => postBytes(lines(), call, { version: "HTTP/1.0" }) },
  {
    what: "HTTP/1.0 with a foreign Host",
    request: () => postBytes(["Host: evil.com", ...lines()], call, { version: "HTTP/1.0" }),
  },
  {
    what: "two Hosts, the foreign one first",
    request: () => postBytes(["Host: evil.com", at("Host: 127.0.0.1:P"), ...lines()], call),
  },
  {
    what: "two Hosts, the foreign one last",
    request: () => postBytes([at("Host: 127.0.0.1:P"), "Host: evil.com", ...lines()], call),
  },
  {
    what: "two Hosts, both ours",
    request: () => postBytes([at("Host: 127.0.0.1:P"), at("Host: localhost:P"), ...lines()], call),
  },
  {
    what: "a space before the colon of Host",
    request: () => postBytes([at("Host : 127.0.0.1:P"), ...lines()], call),
  },
  {
    what: "Host folded over two lines",
    request: () => postBytes(["Host: evil.com", at(" 127.0.0.1:P"), ...lines()], call),
  },
  {
    what: "two Origins, the foreign one last",
    request: () =>
      postBytes(
        [at("Host: 127.0.0.1:P"), at("Origin: http://127.0.0.1:P"), "Origin: http://evil.com", ...lines()],
        call,
      ),
  },
  {
    what: "two Origins, the foreign one first",
    request: () =>
      postBytes(
        [at("Host: 127.0.0.1:P"), "Origin: http://evil.com", at("Origin: http://127.0.0.1:P"), ...lines()],
        call,
      ),
  },
  {
    what: "an empty Origin",
    request: () => postBytes([at("Host: 127.0.0.1:P"), "Origin:", ...lines()], call),
  },
  {
    what: "an absolute target of another address",
    request: () =>
      postBytes([at("Host: 127.0.0.1:P"), ...lines()], call, { target: at("http://evil.com:P/mcp") }),
  },
  {
    what: "an absolute target with a foreign Host",
    request: () => postBytes(["Host: evil.com", ...lines()], call, { target: at("http://127.0.0.1:P/mcp") }),
  },
  {
    what: "an absolute target with userinfo",
    request: () =>
      postBytes([at("Host: 127.0.0.1:P"), ...lines()], call, {
        target: at("http://127.0.0.1:P@evil.com/mcp"),
      }),
  },
  {
    what: "content length and chunks at once",
    request: () => postBytes([at("Host: 127.0.0.1:P"), "Transfer-Encoding: chunked", ...lines()], call),
  },
  {
    what: "a foreign Host in a line of its own after a bare newline",
    request: () => postBytes([at("Host: 127.0.0.1:P\nHost: evil.com"), ...lines()], call),
  },
];

const refusing = [400, 403];

async function refusedBy(request: Buffer): Promise<{ status: number; calls: number }> {
  const before = victim.upstream.calls;
  const { status } = await askOnce(victim.port, request, 3_000);
  return { status, calls: victim.upstream.calls - before };
}

test("the list of hostile addresses is long", () => {
  expect(new Set([...hosts, ...origins]).size).toBeGreaterThanOrEqual(40);
});

describe("[P4.5] our own addresses get through", () => {
  test.each(["127.0.0.1:P", "localhost:P", "[::1]:P"])("Host %s", async (host) => {
    const before = victim.upstream.calls;
    for (const origin of [[], ["Origin: http://127.0.0.1:P"], ["Origin: http://localhost:P"]]) {
      const request = postBytes([`Host: ${at(host)}`, ...origin.map(at), ...lines()], call);
      const { status, body } = await askOnce(victim.port, request);
      expect([status, body.toString()]).toEqual([200, expect.stringContaining('"id":7')]);
    }
    expect(victim.upstream.calls - before).toBe(3);
  });
});

describe("[P4.5] a foreign Host reaches no handler", () => {
  test.each(hosts)("Host: %s", async (host) => {
    const { status, calls } = await refusedBy(postBytes([`Host: ${at(host)}`, ...lines()], call));
    expect({ calls, refused: refusing.includes(status), status }).toEqual({
      calls: 0,
      refused: true,
      status,
    });
  });
});

describe("[P4.5] a foreign Origin reaches no handler", () => {
  test.each(origins)("Origin: %s", async (origin) => {
    const request = postBytes([`Host: 127.0.0.1:${victim.port}`, `Origin: ${at(origin)}`, ...lines()], call);
    expect(await refusedBy(request)).toEqual({ status: 403, calls: 0 });
  });
});

describe("[P4.5] a hostile form reaches no handler", () => {
  test.each([...shapes])("$what", async ({ request }) => {
    const { status, calls } = await refusedBy(request());
    expect({ calls, refused: refusing.includes(status), status }).toEqual({
      calls: 0,
      refused: true,
      status,
    });
  });
});

test("the same without the right secret is 401, and nothing of it reaches the upstream", async () => {
  const before = victim.upstream.calls;
  for (const authorization of ["", "Authorization: Bearer wrong", `Authorization: Basic ${victim.secret}`]) {
    const others = lines().slice(1);
    const request = postBytes(
      [at("Host: 127.0.0.1:P"), ...(authorization === "" ? [] : [authorization]), ...others],
      call,
    );
    const { status, body } = await askOnce(victim.port, request);
    expect([status, JSON.parse(body.toString())]).toEqual([
      401,
      { jsonrpc: "2.0", id: 7, error: { code: -32001, message: "proxy auth required" } },
    ]);
  }
  expect(victim.upstream.calls).toBe(before);
});
