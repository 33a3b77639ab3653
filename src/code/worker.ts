/**
 * The code thread of the extension host: parsing a file, or matching its classes with the names of thousands of
 * tensors, would hold the host for too long. Nothing here may import vscode, which exists only on the host's main
 * thread.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { answerCalls, type Handlers } from '../protocol/calls.ts';
import { connectionOver } from '../protocol/port.ts';
import { codeAnswers } from './codeAnswers.ts';
import { type GrammarFiles, loadPythonParser } from './pythonParser.ts';
import { threadPort } from './threadPort.ts';

// Calls that arrive before the parser is loaded wait in the port.
void loadPythonParser(workerData as GrammarFiles).then((parser) => {
  const connection = connectionOver(threadPort(parentPort!));
  answerCalls(connection, codeAnswers(parser) as unknown as Handlers, (fault) => console.error(fault));
  connection.listen();
});
