/** `agent-relay agents quarantine|release`: stopping the writes of an agent, and letting it write again. */
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

/** Stops the writes of an agent. */
export async function quarantine(
  options: RelayOptions & { name: string; reason: string },
  print: Printer,
): Promise<void> {
  const { name, reason } = options;
  const reply = await operatorClient(options).quarantineAgent({ agent: name, reason });
  print.data(reply);
  print.line(
    reply.changed
      ? `The writes of ${name} are refused from now on; 'agent-relay agents release ${name}' ends that`
      : `The writes of ${name} were refused already`,
  );
}

/** Lets an agent write again. */
export async function release(options: RelayOptions & { name: string }, print: Printer): Promise<void> {
  const { name } = options;
  const reply = await operatorClient(options).releaseAgent({ agent: name });
  print.data(reply);
  print.line(reply.changed ? `${name} may write again` : `${name} was not quarantined`);
}
