import assert from 'node:assert/strict';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { chooseInContextMenu, eventually, explorerItem, openSideBar, webviewPage } from './workbench.ts';

/** People look at test-output/screenshots; the test holds that the pages are told of the theme. */
const THEMES = {
  dark: { name: 'Default Dark Modern', kind: 'vscode-dark' },
  light: { name: 'Default Light Modern', kind: 'vscode-light' },
  'high-contrast': { name: 'Default High Contrast', kind: 'vscode-high-contrast' },
};

for (const [label, theme] of Object.entries(THEMES))
  describe(`the ${label} theme, in the installed extension`, function () {
    this.timeout(120_000);
    let vscode: Vscode;

    before(async () => {
      vscode = await openVscode({
        settings: { 'workbench.colorTheme': theme.name, 'window.autoDetectColorScheme': false },
      });
    });
    after(() => vscode?.close());

    it('colours the inspector and the side panel', async () => {
      const { page } = vscode;
      await chooseInContextMenu(page, 'model.safetensors', 'Analyze Weight Ranks');
      const inspector = await webviewPage(page, 'inspector', 'model.safetensors');
      const heatmap = inspector.getByRole('application', { name: /Heatmap/ }).first();
      await heatmap.waitFor();
      await inspector.locator('.progress-text', { hasText: 'analyzed' }).waitFor();
      await eventually(async () => {
        // By the keyboard: a cell of the third layer.
        for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await heatmap.press(key);
        await inspector.getByRole('slider', { name: 'Rank' }).waitFor({ timeout: 5000 });
      });
      await openSideBar(page, 'Rankscope');
      await page
        .getByRole('treeitem', { name: /model\.safetensors/ })
        .first()
        .waitFor();
      const plan = await webviewPage(page, 'plan');
      for (const frame of [inspector, plan])
        await eventually(async () => {
          const classes = (await frame.locator('body').getAttribute('class'))?.split(' ') ?? [];
          assert.ok(classes.includes(theme.kind), `${classes}`);
        });
      // The charts' animations and the heatmap's last cells.
      await page.waitForTimeout(1500);
      await vscode.screenshot(`theme-${label}`);
      await openSideBar(page, 'Explorer');
      await explorerItem(page, 'model.safetensors').waitFor();
    });
  });
