/**
 * The verdicts of the official suite, check by check: what it said of the fixture directly and through the proxy, and
 * which of the differences are allowed by the checked-in list.
 */
import { z } from "zod";

/** At most so many differences may be allowed. */
export const allowedMax = 3;

const statusSchema = z.enum(["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO"]);
/** One line of a scenario's result file. */
export const checkSchema = z.object({
  id: z.string(),
  name: z.string(),
  status: statusSchema,
  errorMessage: z.string().optional(),
});
export type Check = z.infer<typeof checkSchema>;

/** The checks of a run by scenario. */
export type Results = ReadonlyMap<string, readonly Check[]>;

export const allowedSchema = z
  .array(
    z.strictObject({ suite: z.string(), scenario: z.string(), id: z.string(), reason: z.string().min(20) }),
  )
  .max(allowedMax);
export type Allowed = z.infer<typeof allowedSchema>[number];

export type Difference = {
  readonly suite: string;
  readonly scenario: string;
  readonly id: string;
  readonly name: string;
  readonly direct: string;
  readonly proxied: string;
  /** What the suite says about the worse side. */
  readonly why: string;
};

/** Said of a check that a run did not report. */
export const missing = "missing";

type Verdict = { scenario: string; id: string; name: string; verdict: string; why: string };

/**
 * The verdict of every check: its statuses in order of their names, each with how often it was given when `counted`.
 * Lines of the suite's log (INFO) count only where a check has nothing else.
 */
function verdictsOf(results: Results, counted: boolean): Map<string, Verdict> {
  const groups = new Map<string, Check[]>();
  for (const [scenario, checks] of results) {
    for (const check of checks) {
      const key = JSON.stringify([scenario, check.id, check.name]);
      groups.set(key, [...(groups.get(key) ?? []), check]);
    }
  }
  return new Map([...groups].map(([key, group]) => [key, verdictOf(key, group, counted)]));
}

function verdictOf(key: string, group: readonly Check[], counted: boolean): Verdict {
  const [scenario = "", id = "", name = ""] = z.array(z.string()).parse(JSON.parse(key));
  const given = group.filter(({ status }) => status !== "INFO").map(({ status }) => status);
  const words = [...new Set(given)].sort().map((status) => {
    const times = given.filter((one) => one === status).length;
    return counted && times > 1 ? `${status} × ${times}` : status;
  });
  const why = group.find(({ errorMessage }) => errorMessage !== undefined)?.errorMessage ?? "";
  return { scenario, id, name, verdict: words.join(", ") || "INFO", why };
}

/**
 * Every check with another verdict, or in only one of the two runs.
 *
 * @param counted how often a verdict was given counts too; not for client scenarios, where it depends on how many
 *   requests the suite's server saw, and the proxy sends some of its own
 */
export function compare(
  suite: string,
  runs: { direct: Results; proxied: Results; counted: boolean },
): Difference[] {
  const direct = verdictsOf(runs.direct, runs.counted);
  const proxied = verdictsOf(runs.proxied, runs.counted);
  return [...new Set([...direct.keys(), ...proxied.keys()])].flatMap((key) => {
    const [one, other] = [direct.get(key), proxied.get(key)];
    const known = one ?? other;
    if (known === undefined || one?.verdict === other?.verdict) return [];
    const { scenario, id, name } = known;
    const why = other?.why || one?.why || "";
    const [a, b] = [one?.verdict ?? missing, other?.verdict ?? missing];
    return [{ suite, scenario, id, name, direct: a, proxied: b, why }];
  });
}

export type Judgement = {
  /** Differences that nothing allows. */
  readonly unexpected: readonly Difference[];
  /** Entries of the list for which there is no difference any more. */
  readonly stale: readonly Allowed[];
};

export function judge(differences: readonly Difference[], allowed: readonly Allowed[]): Judgement {
  const covers = (entry: Allowed, { suite, scenario, id }: Difference) =>
    entry.suite === suite && entry.scenario === scenario && entry.id === id;
  return {
    unexpected: differences.filter((difference) => !allowed.some((entry) => covers(entry, difference))),
    stale: allowed.filter((entry) => !differences.some((difference) => covers(entry, difference))),
  };
}

export type Tally = { readonly passed: number; readonly failed: number; readonly warned: number };

export function tally(results: Results): Tally {
  const all = [...results.values()].flat();
  const count = (status: Check["status"]) => all.filter((check) => check.status === status).length;
  return { passed: count("SUCCESS"), failed: count("FAILURE"), warned: count("WARNING") };
}
