/** The response parser alone: every split, every cut, what is refused, bounds, random input. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Head, ParseFault } from "./head.ts";
import { ResponseParser } from "./parser.ts";

type Read = {
  heads: Head[];
  body: string;
  ends: boolean[];
  fault: ParseFault | undefined;
  finished: boolean;
};

/** What the parser makes of these pieces followed by the end of the stream. */
function read(pieces: readonly Uint8Array[], options: { method?: string; headBytesMax?: number } = {}): Read {
  const heads: Head[] = [];
  const ends: boolean[] = [];
  const parts: Uint8Array[] = [];
  const sink = {
    onHead: (head: Head) => heads.push(head),
    onBody: (data: Uint8Array) => parts.push(data),
    onEnd: (extra: boolean) => ends.push(extra),
  };
  const parser = new ResponseParser(sink, options.headBytesMax ?? 4_096);
  parser.begin(options.method ?? "GET");
  let fault: ParseFault | undefined;
  for (const piece of pieces) {
    // A fresh buffer each time, as the runtime gives; it must not be read again after the call.
    const bytes = Buffer.from(piece);
    if (ends.length === 0) fault ??= parser.push(bytes);
  }
  const finished = fault === undefined && parser.finish();
  return { heads, body: Buffer.concat(parts).toString("latin1"), ends, fault, finished };
}

function readText(text: string, options: { method?: string; headBytesMax?: number } = {}): Read {
  return read([Buffer.from(text, "latin1")], options);
}

const canonical: Record<string, { bytes: string; status: number; body: string; method?: string }> = {
  "content-length": {
    bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: \xe9 b\r\n\r\nhello",
    status: 200,
    body: "hello",
  },
  "no body": { bytes: "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", status: 202, body: "" },
  "no content": { bytes: "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", status: 204, body: "" },
  head: { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", status: 200, body: "", method: "HEAD" },
  "not modified": { bytes: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", status: 304, body: "" },
  "no reason": { bytes: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", status: 200, body: "ok" },
  chunked: {
    bytes:
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n1\r\n \r\nA\r\nwonderland\r\n0\r\n\r\n",
    status: 200,
    body: "hello wonderland",
  },
  "chunked with extensions and trailers": {
    bytes:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n003 ;a=b;c="d e"\r\nabc\r\n0;last\r\nX-Sum: 1\r\nY: 2\r\n\r\n',
    status: 200,
    body: "abc",
  },
  "chunked and empty": {
    bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    status: 200,
    body: "",
  },
  "until close": {
    bytes: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall\r\nof it",
    status: 200,
    body: "all\r\nof it",
  },
  interim: {
    bytes:
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    status: 200,
    body: "ok",
  },
};

describe("a response is the same however its bytes are split", () => {
  for (const [name, { bytes, status, body, method = "GET" }] of Object.entries(canonical))
    test(name, () => {
      const whole = Buffer.from(bytes, "latin1");
      const wanted = { status, body, ends: [false], finished: true };
      const got = (pieces: Uint8Array[]) => {
        const { heads, body, ends, finished } = read(pieces, { method });
        return { status: heads[0]?.status, body, ends, finished };
      };
      expect(got([whole])).toEqual(wanted);
      expect(got(Array.from(whole, (byte) => Uint8Array.of(byte)))).toEqual(wanted);
      for (let first = 0; first <= whole.length; first += 1) {
        expect(got([whole.subarray(0, first), whole.subarray(first)])).toEqual(wanted);
        const second = Math.min(whole.length, first + 3);
        const three = [whole.subarray(0, first), whole.subarray(first, second), whole.subarray(second)];
        expect(got(three)).toEqual(wanted);
      }
    });
});

test("a response that is cut short anywhere is never taken for a whole one", () => {
  const cut = Object.values(canonical)
    .filter(({ bytes }) => !bytes.startsWith("HTTP/1.0"))
    .flatMap(({ bytes, method = "GET" }) =>
      Array.from({ length: bytes.length }, (_, end) => readText(bytes.slice(0, end), { method })),
    );
  expect(cut.length).toBeGreaterThan(500);
  expect(
    cut.filter(({ finished, ends, fault }) => finished || ends.length > 0 || fault !== undefined),
  ).toEqual([]);
});

const ok = "HTTP/1.1 200 OK\r\n";
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;
const refused: Record<string, string> = {
  "two equal lengths": `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
  "two different lengths": `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
  "a list of lengths": `${ok}Content-Length: 5, 5\r\n\r\nhello`,
  "length and chunked": `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunked and length": `${ok}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  "a negative length": `${ok}Content-Length: -5\r\n\r\n`,
  "a signed length": `${ok}Content-Length: +5\r\n\r\nhello`,
  "a length above exact numbers": `${ok}Content-Length: 99999999999999999999\r\n\r\n`,
  "an empty length": `${ok}Content-Length:\r\n\r\n`,
  "a hexadecimal length": `${ok}Content-Length: 0x5\r\n\r\nhello`,
  "an unknown coding": `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "two codings": `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  "chunked in HTTP/1.0": "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "a folded field": `${ok}X: a\r\n b\r\nContent-Length: 0\r\n\r\n`,
  "a blank before the colon": `${ok}Content-Length : 0\r\n\r\n`,
  "a name with a blank": `${ok}A B: c\r\n\r\n`,
  "an empty name": `${ok}: c\r\n\r\n`,
  "no colon": `${ok}abc\r\n\r\n`,
  "a NUL in a value": `${ok}X: a\0b\r\n\r\n`,
  "a CR in a value": `${ok}X: a\rb\r\n\r\n`,
  "an LF in a value": `${ok}X: a\nContent-Length: 0\r\n\r\n`,
  "bare line feeds": "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
  "bare line feeds after a good line": `${ok}Content-Length: 0\n\n`,
  "a line feed first": `\n${ok}\r\n`,
  "an empty line first": `\r\n${ok}\r\n`,
  "another version": "HTTP/2.0 200 OK\r\n\r\n",
  "HTTP/1.2": "HTTP/1.2 200 OK\r\n\r\n",
  "a short status": "HTTP/1.1 20 OK\r\n\r\n",
  "a long status": "HTTP/1.1 2000 OK\r\n\r\n",
  "a status above 599": "HTTP/1.1 600 OK\r\n\r\n",
  "a status below 100": "HTTP/1.1 099 OK\r\n\r\n",
  "another protocol": "SSH-2.0-OpenSSH_9.6\r\n",
  "a change of protocol": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
  "no chunk size": `${chunked}\r\nhello\r\n`,
  "a chunk size that is no number": `${chunked}xyz\r\n`,
  "a negative chunk size": `${chunked}-1\r\n`,
  "a chunk size above exact numbers": `${chunked}FFFFFFFFFFFFFFFF\r\n`,
  "a chunk size with a prefix": `${chunked}0x5\r\nhello\r\n0\r\n\r\n`,
  "a chunk size that ends in LF alone": `${chunked}5\nhello\r\n0\r\n\r\n`,
  "a chunk that is longer than its size": `${chunked}5\r\nhello!\r\n0\r\n\r\n`,
  "a chunk that ends in LF alone": `${chunked}5\r\nhello\n0\r\n\r\n`,
  "a trailer without a colon": `${chunked}0\r\nabc\r\n\r\n`,
  "a NUL in an extension": `${chunked}5;\0\r\nhello\r\n0\r\n\r\n`,
};

describe("refused as malformed, at once and byte by byte", () => {
  for (const [name, text] of Object.entries(refused))
    test(name, () => {
      expect(readText(text).fault?.fault).toBe("malformed");
      const drip = read(Array.from(Buffer.from(text, "latin1"), (byte) => Uint8Array.of(byte)));
      expect(drip.fault?.fault).toBe("malformed");
      expect(drip.ends).toEqual([]);
    });
});

test("a fault quotes only the beginning of what was read", () => {
  const message = readText(`HTTP/1.1 2x0 ${"secret".repeat(50)}\r\n\r\n`).fault?.message ?? "";
  expect(message).toStartWith('Read the response: the status line is "HTTP/1.1 2x0 secret');
  expect(message.length).toBeLessThan(200);
});

describe("bounds", () => {
  const head = (bytes: number) => `${ok}X: ${"a".repeat(bytes - ok.length - 7)}\r\n\r\n`;
  const many = `${ok}${"A: b\r\n".repeat(600)}\r\n`;
  const interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(200);
  const cases: [name: string, text: string, wanted: string | undefined][] = [
    ["a head of the exact size", head(4_096), undefined],
    ["a head of one byte more", head(4_097), "too-large"],
    ["a head that does not end", head(9_000).slice(0, 8_000), "too-large"],
    ["600 fields in the bound", many, undefined],
    ["interim answers without an end", interim, "too-large"],
    ["a chunk extension without an end", `${chunked}5;${"a".repeat(5_000)}`, "too-large"],
    ["a trailer without an end", `${chunked}0\r\n${"A: b\r\n".repeat(1_000)}`, "too-large"],
  ];
  for (const [name, text, wanted] of cases)
    test(name, () => {
      expect(readText(text).fault?.fault as string | undefined).toBe(wanted);
      expect(
        read(Array.from(Buffer.from(text), (byte) => Uint8Array.of(byte))).fault?.fault as string | undefined,
      ).toBe(wanted);
    });

  test("600 fields are all there, in order", () => {
    expect(readText(many).heads[0]?.fields.count).toBe(600);
  });
});

test("more bytes than the response are told, not read", () => {
  const bodies = [
    "Content-Length: 2\r\n\r\nok",
    "Content-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ];
  for (const body of bodies) expect(readText(`${ok}${body}${ok}`).ends).toEqual([true]);
  expect(readText("HTTP/1.1 204 No Content\r\n\r\nbody").ends).toEqual([true]);
});

test("keep-alive and its hint", () => {
  const kept = (text: string) => readText(text).heads[0]?.keepAlive;
  expect(kept(`${ok}Content-Length: 0\r\n\r\n`)).toBe(true);
  expect(kept(`${ok}Connection: x, Close\r\nContent-Length: 0\r\n\r\n`)).toBe(false);
  expect(kept(`${ok}Connection: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)).toBe(false);
  expect(kept("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")).toBe(false);
  expect(kept("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")).toBe(true);
  expect(readText(`${ok}Keep-Alive: timeout=5, max=9\r\nContent-Length: 0\r\n\r\n`).heads[0]?.idleMs).toBe(
    5_000,
  );
});

test("names are lowered, blanks around values are taken off and nothing else is", () => {
  const fields = readText(`${ok}X-One: \t a  b \t\r\nx-one:\xa0c\xa0\r\nContent-Length: 0\r\n\r\n`).heads[0]
    ?.fields.list;
  expect(fields).toEqual([
    ["x-one", "a  b"],
    ["x-one", "\xa0c\xa0"],
    ["content-length", "0"],
  ]);
});

describe("properties", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  const splits = fc.array(fc.nat({ max: 1_000 }), { maxLength: 12 });
  const split = (whole: Buffer, at: number[]) => {
    const ends = [...at.map((n) => n % (whole.length + 1)), whole.length].sort((a, b) => a - b);
    return ends.map((end, index) => whole.subarray(ends[index - 1] ?? 0, end));
  };
  const value = fc.string({ unit: fc.constantFrom(...'abz09 \t;,="é'), maxLength: 30 });
  const fields = fc.array(fc.tuple(fc.stringMatching(/^x-[a-z0-9]{1,12}$/), value), { maxLength: 10 });
  const coded = (kind: "length" | "chunked" | "close", parts: Uint8Array[]): [string, Uint8Array] => {
    const body = Buffer.concat(parts);
    const chunks = parts.filter((part) => part.length > 0);
    const pieces = chunks.flatMap((part) => [
      Buffer.from(`${part.length.toString(16)};q\r\n`),
      part,
      Buffer.from("\r\n"),
    ]);
    const table: Record<typeof kind, [string, Uint8Array]> = {
      length: [`Content-Length: ${body.length}\r\n`, body],
      chunked: [
        "Transfer-Encoding: chunked\r\n",
        Buffer.concat([...pieces, Buffer.from("0\r\nT: 1\r\n\r\n")]),
      ],
      close: ["", body],
    };
    return table[kind];
  };

  test("any valid response, split anywhere, is decoded to what was meant", () => {
    const kinds = fc.constantFrom("length" as const, "chunked" as const, "close" as const);
    const parts = fc.array(bytes, { maxLength: 6 });
    fc.assert(
      fc.property(kinds, parts, fields, splits, (kind, parts, fields, at) => {
        const [framing, body] = coded(kind, parts);
        const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
        const head = Buffer.from(`${ok}${lines}${framing}\r\n`, "latin1");
        const got = read(split(Buffer.concat([head, body]), at));
        expect(got.fault).toBeUndefined();
        expect(got.finished).toBe(true);
        expect(got.body).toBe(Buffer.concat(parts).toString("latin1"));
        const blanks = /^[ \t]+|[ \t]+$/g;
        expect(got.heads[0]?.fields.list.slice(0, fields.length) ?? []).toEqual(
          fields.map(([name, value]) => [name, value.replace(blanks, "")] as const),
        );
      }),
      { numRuns: 400 },
    );
  });

  test("any bytes give the same result whether they come at once or split, and never a crash", () => {
    const fragments = fc.constantFrom(
      ok,
      chunked,
      "\r\n",
      "\n",
      ":",
      "Content-Length: 3",
      "0",
      "5;",
      "abc",
      "HTTP/1.1 100 x\r\n\r\n",
    );
    const noise = fc.array(fc.oneof(fragments, fc.string({ unit: "binary-ascii", maxLength: 8 })), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(noise, splits, (words, at) => {
        const whole = Buffer.from(words.join(""), "latin1");
        const once = read([whole]);
        const pieces = read(split(whole, at));
        expect(pieces.fault?.fault).toBe(once.fault?.fault as "malformed");
        expect(pieces.heads).toEqual(once.heads);
      }),
      { numRuns: 600 },
    );
  });
});
