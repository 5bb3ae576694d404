/** The commands about messages: names, options and help. What they do is loaded when they run. */
import { type Command, Option } from "commander";
import { pointInTime, wholeNumber } from "./context.ts";
import { home, json, printer, relay, tokenFile } from "./options.ts";

const limit = () =>
  new Option("--limit <n>", "at most this many").argParser(wholeNumber("--limit", 1, 100_000));
const common = (command: Command) =>
  command.addOption(relay()).addOption(tokenFile()).addOption(home()).addOption(json());

/** Adds them to the program. */
export function addMessages(program: Command): void {
  addSending(program);
  addLooking(program);
  addChannels(program);
}

function addSending(program: Command): void {
  common(
    program
      .command("send")
      .description("send a message as the operator")
      .argument("<name>", "agent that is to get it, '#channel' (in quotes) or @all")
      .argument("<text...>", "the message; - reads it from standard input")
      .option("--thread <id>", "go on in this thread")
      .option("--expects-reply", "the agent then owes a reply")
      .addOption(
        new Option("--reply-by <time>", "by when, as in 2027-01-31T18:00Z").argParser(
          pointInTime("--reply-by"),
        ),
      )
      .option("--urgent", "asks the recipient to look at it before other work")
      .option("--forward <id>", "pass this message on, with the text")
      .option("--key <key>", "idempotency key: the same key is never sent twice"),
  ).action(async (name, text, o) =>
    (await import("./commands/send.ts")).send({ ...o, name, text }, printer(o)),
  );
  common(
    program
      .command("receipts")
      .description("how far a message has got at each recipient")
      .argument("<message>", "its id"),
  ).action(async (message, o) =>
    (await import("./commands/receipts.ts")).receipts({ ...o, message }, printer(o)),
  );
}

function addLooking(program: Command): void {
  common(
    program
      .command("inbox")
      .description("messages of an agent's inbox, oldest first; reading changes nothing")
      .argument("<name>", "the agent; 'operator' for your own")
      .option("--unread", "only what the agent has not seen yet")
      .addOption(
        new Option("--after <seq>", "only after this seq").argParser(wholeNumber("--after", 0, 999_999_999)),
      )
      .addOption(limit()),
  ).action(async (name, o) => (await import("./commands/inbox.ts")).inbox({ ...o, name }, printer(o)));
  common(
    program
      .command("thread")
      .description("the messages of a thread, oldest first")
      .argument("<thread>", "its id: the id of its first message")
      .addOption(limit()),
  ).action(async (thread, o) => (await import("./commands/thread.ts")).thread({ ...o, thread }, printer(o)));
  common(
    program
      .command("search")
      .description("messages with all the words, newest first")
      .argument("[words...]", "whole words, in any order; none: the newest messages")
      .option("--agent <name>", "only what this agent sent or got")
      .addOption(limit()),
  ).action(async (words, o) => (await import("./commands/search.ts")).search({ ...o, words }, printer(o)));
}

function addChannels(program: Command): void {
  const channel = program.command("channel").description("channels of the relay");
  const name = ["<channel>", "its name, with or without the #"] as const;
  common(channel.command("ls").description("all channels")).action(async (o) =>
    (await import("./commands/channel.ts")).channelList(o, printer(o)),
  );
  common(
    channel
      .command("members")
      .description("who gets what is sent to a channel")
      .argument(...name),
  ).action(async (channel, o) =>
    (await import("./commands/channel.ts")).channelMembers({ ...o, channel }, printer(o)),
  );
  common(
    channel
      .command("join")
      .description("join a channel as the operator; the first to join makes it")
      .argument(...name),
  ).action(async (channel, o) =>
    (await import("./commands/channel.ts")).channelJoin({ ...o, channel }, printer(o)),
  );
  common(
    channel
      .command("leave")
      .description("leave a channel as the operator; the last to leave ends it")
      .argument(...name),
  ).action(async (channel, o) =>
    (await import("./commands/channel.ts")).channelLeave({ ...o, channel }, printer(o)),
  );
}
