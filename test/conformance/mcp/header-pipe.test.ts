/** The pipe changes its own Host and Origin and adds the secret, and nothing else. */
import { expect, test } from "bun:test";
import { requestRewriter, rewrittenHead } from "./header-pipe.ts";

const names = { own: "127.0.0.1:1", proxy: "127.0.0.1:2", secret: "s3cret" };
const head = (...lines: string[]) => ["POST /mcp HTTP/1.1", ...lines].join("\r\n");

test("its own Host and Origin become the proxy's, and the secret is added", () => {
  const given = head("Host: 127.0.0.1:1", "origin: http://127.0.0.1:1", "Mcp-Name:  a ");
  const wanted = head("Host: 127.0.0.1:2", "origin: http://127.0.0.1:2", "Mcp-Name:  a ");
  expect(rewrittenHead(given, names)).toBe(`${wanted}\r\nAuthorization: Bearer s3cret`);
});

test.each([
  "Host: evil.example.com",
  "Host: 127.0.0.1:10",
  "Host: 127.0.0.1:1.evil.example.com",
  "Host: localhost:1",
  "Origin: http://evil.example.com",
  "Origin: https://127.0.0.1:1",
  "Origin: null",
  "X-Forwarded-Host: 127.0.0.1:1",
])("%s goes through as it came", (line) => {
  expect(rewrittenHead(head(line), names)).toBe(`${head(line)}\r\nAuthorization: Bearer s3cret`);
});

test("bodies pass unread, in whatever pieces they come, and the next request is found", () => {
  const body = "GET /fake HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n";
  const one = `${head("Host: 127.0.0.1:1", `Content-Length: ${body.length}`)}\r\n\r\n${body}`;
  const two = "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n";
  const wanted = (one + two)
    .replace("Host: 127.0.0.1:1\r\nContent", "Host: 127.0.0.1:2\r\nContent")
    .replace(`${body.length}\r\n\r\n`, `${body.length}\r\nAuthorization: Bearer s3cret\r\n\r\n`)
    .replace(two, "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:2\r\nAuthorization: Bearer s3cret\r\n\r\n");
  for (const size of [1, 7, 64, 1_000]) {
    const rewrite = requestRewriter(names);
    const bytes = Buffer.from(one + two);
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) out.push(...rewrite(bytes.subarray(at, at + size)));
    expect(Buffer.concat(out).toString()).toBe(wanted);
  }
});

test("a body in chunks is refused", () => {
  const chunked = Buffer.from(`${head("Transfer-Encoding: chunked")}\r\n\r\n`);
  expect(() => requestRewriter(names)(chunked)).toThrow("no request body in chunks");
});
