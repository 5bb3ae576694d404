/**
 * What the runner knows of the relay's names and messages, so that a write made in an outage still says whom it
 * meant: agents by name, and the sender and thread of messages that a reply may name.
 */

/** Names and messages as last heard; older messages are forgotten first. */
export type Directory = {
  recipientId(name: string): string | undefined;
  parentOf(messageId: string): { from: string; threadId: string } | undefined;
  setAgents(agents: readonly { id: string; name: string }[]): void;
  addMessage(message: { id: string; from: string; threadId: string }): void;
};

/** @param messagesMax messages remembered at most */
export function createDirectory(messagesMax: number): Directory {
  let agents = new Map<string, string>();
  const messages = new Map<string, { from: string; threadId: string }>();
  return {
    recipientId: (name) => agents.get(name),
    parentOf: (messageId) => messages.get(messageId),
    setAgents(list) {
      agents = new Map(list.map(({ name, id }) => [name, id]));
    },
    addMessage({ id, from, threadId }) {
      messages.set(id, { from, threadId });
      if (messages.size <= messagesMax) return;
      const oldest = messages.keys().next();
      if (!oldest.done) messages.delete(oldest.value);
    },
  };
}
