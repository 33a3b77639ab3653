import { appendFileSync, rmSync } from 'node:fs';

/**
 * Prints the output of suites that run side by side, one suite after the other in the order of `names`: the first that
 * has not ended is shown live, the others are held back until their turn. Each suite also has a log of its own in
 * `folder`.
 */
export function orderedOutput(names, folder) {
  const suites = names.map((name) => ({ name, held: [], hasEnded: false }));
  const log = (name) => `${folder}/${name}.log`;
  const print = (name, text) => {
    const suite = suites.find((each) => each.name === name);
    if (suite === undefined || suite === suites[0]) process.stdout.write(text);
    else suite.held.push(text);
  };
  return {
    start(name) {
      rmSync(log(name), { force: true });
      print(name, `\n=== ${name}\n`);
    },
    write(name, text) {
      appendFileSync(log(name), text);
      print(name, text);
    },
    end(name) {
      const suite = suites.find((each) => each.name === name);
      if (suite !== undefined) suite.hasEnded = true;
      while (suites[0]?.hasEnded) {
        suites.shift();
        for (const text of suites[0]?.held.splice(0) ?? []) process.stdout.write(text);
      }
    },
  };
}
