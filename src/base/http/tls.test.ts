/** TLS: who is trusted, and that nothing leaves before that is known. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../limits.ts";
import { realClock } from "../clock.ts";
import { createHttpClient } from "./client.ts";
import { type HttpRequest, readBody } from "./exchange.ts";
import { always, failure, scriptedServer, testPem, text, until } from "./scripted-server.ts";

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const body = new TextEncoder().encode("Bearer secret");
const post: HttpRequest = { method: "POST", path: "/a", headers: [["authorization", "Bearer secret"]], body };
const ca = testPem("ca.pem");

function secureClient(origin: string, options: { ca?: string; connectMs?: number } = {}) {
  return createHttpClient({
    origin,
    clock: realClock,
    limits: { ...limits, upstreamConnectMs: options.connectMs ?? limits.upstreamConnectMs },
    tls: options.ca === undefined ? {} : { ca: options.ca },
  });
}

describe("TLS", () => {
  for (const host of ["localhost", "127.0.0.1"])
    test(`a verified peer at ${host} is used, and used again`, async () => {
      await using server = await scriptedServer(always(ok), { certificate: "right" });
      const client = secureClient(`https://${host}:${server.port}`, { ca });
      expect(await text(client, post)).toBe("ok");
      expect(await text(client, post)).toBe("ok");
      expect(server.connections.length).toBe(1);
      expect(server.connections[0]?.received()).toContain(`Host: ${host}:${server.port}\r\n`);
      client.close();
      await server.connections[0]?.closed;
    });

  test("20 MB up and down with a slow reader", async () => {
    const big = Buffer.alloc(20_000_000, "0123456789abcdef");
    await using server = await scriptedServer(
      async ({ socket }) => {
        let bytes = 0;
        socket.on("data", (data) => {
          bytes += data.length;
        });
        await until("the request", () => bytes > big.length, 10_000);
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n`);
        socket.write(big);
      },
      { certificate: "right" },
    );
    const client = secureClient(`https://localhost:${server.port}`, { ca });
    const response = await client.request({ ...post, body: big });
    expect(Buffer.compare(Buffer.from(await readBody(response, 3e7)), big)).toBe(0);
    client.close();
  }, 15_000);

  const refused: [name: string, certificate: "right" | "wrong", ca: string | undefined][] = [
    ["an authority that is not trusted", "right", undefined],
    ["a certificate for another name", "wrong", ca],
    ["an authority that cannot be read", "right", "garbage"],
  ];
  for (const [name, certificate, authority] of refused)
    test(`P4: ${name} is refused before a byte of the request is sent`, async () => {
      await using server = await scriptedServer(always(ok), { certificate });
      const client = secureClient(
        `https://localhost:${server.port}`,
        authority === undefined ? {} : { ca: authority },
      );
      expect(await failure(client.request(post))).toBe("tls/no");
      expect(server.connections.map(({ received }) => received()).join("")).toBe("");
      expect(client.connections).toBe(0);
    });

  test("P4: the environment cannot switch verification off", async () => {
    await using server = await scriptedServer(always(ok), { certificate: "right" });
    const script = `
      const { createHttpClient } = await import("./src/base/http/client.ts");
      const { realClock } = await import("./src/base/clock.ts");
      const { limits } = await import("./src/limits.ts");
      const client = createHttpClient({ origin: "https://localhost:${server.port}", clock: realClock, limits });
      const error = await client.request({ method: "GET", path: "/", headers: [] }).catch((error) => error);
      console.log(error.why, error.sent);`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      cwd: new URL("../../..", import.meta.url).pathname,
      env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      stdout: "pipe",
      stderr: "ignore",
    });
    expect(await new Response(child.stdout).text()).toBe("tls no\n");
  });

  test("a peer that speaks plain HTTP, or nothing, is refused: no", async () => {
    await using plain = await scriptedServer(({ socket }) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect(await failure(secureClient(`https://localhost:${plain.port}`, { ca }).request(post))).toBe(
      "tls/no",
    );
    await using silent = await scriptedServer(({ request }) => request());
    const client = secureClient(`https://localhost:${silent.port}`, { ca, connectMs: 50 });
    expect(await failure(client.request(post))).toBe("tls/no");
    await silent.connections[0]?.closed;
    expect(silent.connections[0]?.received()).not.toContain("secret");
  });

  test("a peer that closes in the middle of a response: unknown", async () => {
    await using server = await scriptedServer(
      async (connection) => {
        await connection.request();
        connection.socket.end(ok.slice(0, -1));
      },
      { certificate: "right" },
    );
    const client = secureClient(`https://localhost:${server.port}`, { ca });
    expect(await failure(text(client, post))).toBe("closed/unknown");
  });
});
