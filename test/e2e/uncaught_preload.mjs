// Loaded before dewy: makes errors that nothing catches, as a faulty dependency would.
import process from "node:process";

const fail = (what) => {
  setTimeout(() => {
    throw new TypeError(`${what} thrown in a timer, at port ${Math.floor(Math.random() * 1e6)}`);
  });
  Promise.reject(new Error(`${what} rejected, with token ${process.env.SLACK_TOKEN}`));
};

if (process.env.FAIL_AT_ONCE === "1") {
  const { on } = process;
  process.on = (name, listener) => {
    on.call(process, name, listener);
    if (name === "unhandledRejection") setTimeout(() => fail("an error"));
    return process;
  };
}
process.on("SIGUSR2", () => fail("an error"));
