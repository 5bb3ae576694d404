/**
 * The start of the program. A provider starts hooks at many steps of its agent, so their way loads nothing of the rest;
 * starting an agent does not pay for the relay either.
 */
const [first, ...rest] = process.argv.slice(2);
if (first === "hook") await (await import("./commands/hook.ts")).hook(rest[0] ?? "");
else process.exitCode = await (await import("./program.ts")).runProgram(process.argv.slice(2));
// The event loop may still hold timers of libraries; everything of ours was closed by the command.
process.exit();
