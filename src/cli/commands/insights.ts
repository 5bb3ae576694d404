/** `agent-relay insights ls|on|off`: what runners reported, and which kinds of it are wanted. */
import { type InsightKind, insightKinds } from "../../wire/insight.ts";
import { plainText } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { CliError, type Printer } from "../print.ts";

/** Characters of the facts that fit into a line. */
const factsWidth = 100;

/** Prints insights, the newest last, and the kinds that are switched off. */
export async function insightList(
  options: RelayOptions & { kind?: InsightKind; agent?: string; limit: number },
  print: Printer,
): Promise<void> {
  const { kind, agent, limit } = options;
  const client = operatorClient(options);
  const [reply, { kinds }] = await Promise.all([
    client.listInsights({
      limit,
      ...(kind === undefined ? {} : { kind }),
      ...(agent === undefined ? {} : { agent }),
    }),
    client.listInsightKinds({}),
  ]);
  print.data({ ...reply, kinds });
  if (reply.insights.length === 0) print.line("Nothing was reported");
  else {
    print.table(
      ["AT", "AGENT", "KIND", "FACTS"],
      reply.insights
        .toReversed()
        .map((one) => [
          one.at,
          one.agent,
          one.kind,
          plainText(JSON.stringify(one.facts)).slice(0, factsWidth),
        ]),
    );
  }
  const off = kinds.filter(({ enabled }) => !enabled).map((one) => one.kind);
  if (off.length > 0) print.line(print.dim(`Switched off: ${off.join(", ")}`));
}

/** Switches kinds of insights. */
export async function insightSwitch(
  options: RelayOptions & { kinds: string[]; enabled: boolean },
  print: Printer,
): Promise<void> {
  const wanted = options.kinds.map(kindOf);
  const client = operatorClient(options);
  const kinds = [];
  for (const kind of wanted) kinds.push(await client.setInsightKind({ kind, enabled: options.enabled }));
  print.data({ kinds });
  for (const { kind, about, enabled } of kinds) print.line(`${kind} is ${enabled ? "on" : "off"}: ${about}`);
}

function kindOf(text: string): InsightKind {
  const kind = insightKinds.find((one) => one === text);
  if (kind !== undefined) return kind;
  throw new CliError(
    "usage",
    `Switch insights: '${text}' is no kind of them; ${insightKinds.join(", ")} are`,
  );
}
