/** A process of the rig does not outlive the test that started it: its standard input ends with the test. */
process.stdin.on("end", () => process.exit(9));
process.stdin.resume();
