/**
 * A way to the relay on which requests can be stopped: a test holds a call of an agent there, changes something, and lets
 * it go on. Everything else passes as it is.
 */

/** Requests that are stopped before the relay hears of them. */
export type Stopped = {
  /** How many have come. */
  count(): number;
  go(): void;
};

export type Front = {
  readonly url: string;
  /** Stops requests whose path begins so and whose body has these words, from now on. */
  stop(path: string, words?: string): Stopped;
  /** How many requests with this path the relay has answered with this status. */
  answered(path: string, status: number): number;
  close(): Promise<void>;
};

type Rule = { path: string; words: string; count: number; gone: PromiseWithResolvers<void> };

/** Opens it on a free port of 127.0.0.1, in front of the relay at that address. */
export function openFront(relayUrl: string): Front {
  const answers: { path: string; status: number }[] = [];
  let rules: Rule[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      const body = request.method === "GET" ? undefined : await request.text();
      const rule = rules.find(({ path, words }) => pathname.startsWith(path) && (body ?? "").includes(words));
      if (rule !== undefined) {
        rule.count += 1;
        await rule.gone.promise;
      }
      const { headers, method, signal } = request;
      headers.set("host", new URL(relayUrl).host);
      try {
        const answer = await fetch(`${relayUrl}${pathname}${search}`, {
          ...{ method, headers, signal, decompress: false },
          ...(body === undefined ? {} : { body }),
        });
        answers.push({ path: pathname, status: answer.status });
        return new Response(answer.body, { status: answer.status, headers: answer.headers });
      } catch {
        // The relay is away, or whoever asked is gone.
        return new Response(null, { status: 502 });
      }
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    stop(path, words = "") {
      const rule: Rule = { path, words, count: 0, gone: Promise.withResolvers<void>() };
      rules.push(rule);
      return {
        count: () => rule.count,
        go() {
          rules = rules.filter((other) => other !== rule);
          rule.gone.resolve();
        },
      };
    },
    answered: (path, status) =>
      answers.filter((answer) => answer.path === path && answer.status === status).length,
    close: () => server.stop(true),
  };
}
