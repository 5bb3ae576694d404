/**
 * What a runner tells people's programs on this machine, and hears from its agent's hooks: status, outbox, session. Loopback only, behind the same
 * guards as the proxy and a secret of its own. It never shows a token; what was written only when that is asked for.
 */
import { z } from "zod";
import type { Clock } from "../base/clock.ts";
import { createFailedLogins } from "../base/failed-logins.ts";
import { bearerCheck, isLoopbackHost, isOwnOrigin } from "../base/http/guard.ts";
import { limits } from "../limits.ts";
import type { RecordDetail, RecordView } from "../wire/write.ts";
import { type ActionReply, type ActionRequest, outboxActions } from "./actions.ts";
import { controlPaths } from "./control-paths.ts";

export { controlPaths } from "./control-paths.ts";

/** What the control server can be asked; each answer is JSON. */
export type ControlSources = {
  status(): unknown;
  records(): Promise<RecordView[]>;
  /** One record; what was written only with `body`. */
  record?(id: number, body: boolean): Promise<RecordDetail | undefined>;
  /** Figures in the Prometheus text format. */
  metrics?(): Promise<string>;
  /** Does what a person asks for. */
  act?(request: ActionRequest): Promise<ActionReply>;
  /** What the agent's session does and did. */
  session?(): unknown;
  /** A hook of the provider reports; what it is to print. */
  hook?(report: HookInput): unknown;
};

const hookSchema = z.object({
  event: z.string().max(100),
  input: z.record(z.string(), z.unknown()),
  env: z.record(z.string(), z.string()),
});
/** What a hook reports (`hook.ts` makes it). */
export type HookInput = z.infer<typeof hookSchema>;

export type ControlServer = { url: string; port: number; close(): void };

/**
 * Serves a runner's status and outbox on 127.0.0.1, at the port before or any other.
 * @param secret bearer secret, kept 0600 beside the info file
 */
export function startControl(options: {
  port: number;
  secret: string;
  sources: ControlSources;
  clock: Clock;
}): ControlServer {
  const isAllowed = bearerCheck(options.secret);
  const failedLogins = createFailedLogins({ clock: options.clock, limits });
  const answer = async (request: Request, port: number): Promise<Response> => {
    if (!isLoopbackHost(request.headers.get("host"), port)) return refusal(403, "this address is not served");
    if (!isOwnOrigin(request.headers.get("origin"), port)) return refusal(403, "pages may not ask this");
    if (!isAllowed(request.headers.get("authorization"))) {
      await failedLogins.count("loopback");
      return refusal(401, "the control secret is missing or wrong");
    }
    return served(options.sources, request);
  };
  const serve = (port: number) => {
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port,
      idleTimeout: limits.requestReadMs / 1_000,
      maxRequestBodySize: limits.hookReportBytesMax,
      fetch: (request): Promise<Response> => answer(request, server.port ?? 0),
      error: () => refusal(500, "the control server failed"),
    });
    return server;
  };
  const server = serveOr(serve, options.port);
  const port = server.port ?? 0;
  const close = () => {
    failedLogins.close();
    void server.stop(true);
  };
  return { url: `http://127.0.0.1:${port}`, port, close };
}

/** The answer to a request of the owner. */
async function served(sources: ControlSources, request: Request): Promise<Response> {
  const path = request.url.slice(request.url.indexOf("/", "http://".length));
  const [name = "", query = ""] = path.split("?", 2);
  const asked = new URLSearchParams(query);
  const wanted = name === controlPaths.act || name === controlPaths.hook ? "POST" : "GET";
  if (request.method !== wanted) return refusal(405, `only ${wanted} is served`);
  switch (name) {
    case controlPaths.status:
      return Response.json(await sources.status());
    case controlPaths.records:
      return Response.json({ records: await sources.records() });
    case controlPaths.record: {
      const [id] = idsIn(asked);
      const record = id === undefined ? undefined : await sources.record?.(id, asked.get("body") === "1");
      return record === undefined ? refusal(404, "there is no such record") : Response.json({ record });
    }
    case controlPaths.metrics: {
      const text = (await sources.metrics?.()) ?? "";
      return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
    }
    case controlPaths.act: {
      const action = outboxActions.find((one) => one === asked.get("action"));
      if (action === undefined || sources.act === undefined) return refusal(404, "there is no such action");
      return Response.json(await sources.act({ action, ids: idsIn(asked) }));
    }
    case controlPaths.session: {
      const session = sources.session?.();
      return session === undefined ? refusal(404, "there is no session") : Response.json(session);
    }
    case controlPaths.hook:
      return hookAnswer(sources, request);
  }
  return refusal(404, `there is no ${path.slice(0, 100)}`);
}

async function hookAnswer(sources: ControlSources, request: Request): Promise<Response> {
  const report = hookSchema.safeParse(await request.json().catch(() => undefined));
  if (!report.success) return refusal(400, "this is not the report of a hook");
  return Response.json({ reply: (await sources.hook?.(report.data)) ?? null });
}

function idsIn(asked: URLSearchParams): number[] {
  return asked
    .getAll("id")
    .filter((text) => /^\d{1,15}$/.test(text))
    .map(Number);
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
