/**
 * The thread that understands code, beside the extension host: to parse a file or to place its classes among the names of thousands of
 * tensors takes longer than an editor may be held up. Nothing here may import vscode, which other threads do not have.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { answerCalls, type Handlers } from '../protocol/calls.ts';
import { connectionOver } from '../protocol/port.ts';
import { codeAnswers } from './codeAnswers.ts';
import { type GrammarFiles, loadPythonParser } from './pythonParser.ts';
import { threadPort } from './threadPort.ts';

// What is asked meanwhile waits in the port.
void loadPythonParser(workerData as GrammarFiles).then((parser) => {
  const connection = connectionOver(threadPort(parentPort!));
  answerCalls(connection, codeAnswers(parser) as unknown as Handlers, (fault) => console.error(fault));
  connection.listen();
});
