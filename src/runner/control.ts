/**
 * What a runner tells people's programs on this machine: its status and its outbox. Loopback only, behind the same
 * guards as the proxy and a secret of its own. It never shows a token, an argument or a body.
 */
import { bearerCheck, isLoopbackHost, isOwnOrigin } from "../base/http/guard.ts";
import { limits } from "../limits.ts";
import type { RecordView } from "../wire/write.ts";

/** What the control server can be asked; each answer is JSON. */
export type ControlSources = {
  status(): unknown;
  records(): Promise<RecordView[]>;
};

export type ControlServer = { url: string; port: number; close(): void };

/** Paths of the control server. */
export const controlPaths = { status: "/status", records: "/records" } as const;

/**
 * Serves a runner's status and outbox on 127.0.0.1, at the port before or any other.
 * @param secret bearer secret, kept 0600 beside the info file
 */
export function startControl(options: {
  port: number;
  secret: string;
  sources: ControlSources;
}): ControlServer {
  const isAllowed = bearerCheck(options.secret);
  const answer = async (request: Request, port: number): Promise<Response> => {
    if (!isLoopbackHost(request.headers.get("host"), port)) return refusal(403, "this address is not served");
    if (!isOwnOrigin(request.headers.get("origin"), port)) return refusal(403, "pages may not ask this");
    if (!isAllowed(request.headers.get("authorization")))
      return refusal(401, "the control secret is missing or wrong");
    if (request.method !== "GET") return refusal(405, "only GET is served");
    const path = request.url.slice(request.url.indexOf("/", "http://".length));
    if (path === controlPaths.status) return Response.json(options.sources.status());
    if (path === controlPaths.records) return Response.json({ records: await options.sources.records() });
    return refusal(404, `there is no ${path.slice(0, 100)}`);
  };
  const serve = (port: number) => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: limits.requestReadMs / 1_000,
      maxRequestBodySize: 1,
      fetch: (request): Promise<Response> => answer(request, server.port ?? 0),
      error: () => refusal(500, "the control server failed"),
    });
    return server;
  };
  const server = serveOr(serve, options.port);
  const port = server.port ?? 0;
  return { url: `http://127.0.0.1:${port}`, port, close: () => void server.stop(true) };
}

function serveOr<Server>(serve: (port: number) => Server, port: number): Server {
  try {
    return serve(port);
  } catch (error) {
    if (port === 0) throw error;
    return serve(0); // Somebody took the port while this runner was away; the info file tells the new one.
  }
}

function refusal(status: number, reason: string): Response {
  return new Response(`${reason}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}
