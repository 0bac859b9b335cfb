/** Everything that the page says, in three languages. `{name}` is filled in. */

const TEXTS = {
  title: ["Text removal playground", "文字去除试验台", "文字消去プレイグラウンド"],
  skip: ["Skip to the picture", "跳到图片", "画像へ移動"],
  navigation: ["Service", "服务", "サービス"],
  docs: ["API documentation", "API 文档", "API ドキュメント"],
  language: ["Language", "语言", "言語"],
  theme: ["Appearance", "外观", "外観"],
  themeAuto: ["As the system", "跟随系统", "システムに合わせる"],
  themeLight: ["Light", "浅色", "ライト"],
  themeDark: ["Dark", "深色", "ダーク"],
  pictureTitle: ["Picture and what to remove", "图片与要去除的区域", "画像と消す範囲"],
  drop: ["Drop an image here, paste one, or", "将图片拖到这里、粘贴，或者", "画像をここにドロップするか、貼り付けるか、"],
  choose: ["choose a file", "选择文件", "ファイルを選択"],
  sample: ["use the sample", "使用示例图片", "サンプルを使う"],
  tool: ["Tool", "工具", "ツール"],
  rect: ["Rectangle", "矩形", "長方形"],
  polygon: ["Polygon", "多边形", "多角形"],
  brush: ["Brush", "画笔", "ブラシ"],
  brushSize: ["Brush size", "画笔大小", "ブラシの太さ"],
  finish: ["Close polygon", "闭合多边形", "多角形を閉じる"],
  undo: ["Undo", "撤销", "元に戻す"],
  clear: ["Clear", "清除", "消去"],
  canvas: ["Picture: draw what to remove", "图片：画出要去除的区域", "画像：消す範囲を描く"],
  canvasHelp: [
    "Drag with mouse or finger. Keyboard: arrow keys move the pointer (Shift: faster), Space sets a corner or draws, Enter closes a polygon, Escape gives up, Backspace undoes.",
    "用鼠标或手指拖动。键盘：方向键移动指针（Shift 加速），空格键设置角点或绘制，回车键闭合多边形，Esc 放弃，退格键撤销。",
    "マウスか指でドラッグします。キーボード：矢印キーでポインタ移動（Shift で高速）、スペースで角を置くか描く、Enter で多角形を閉じる、Esc で中止、Backspace で元に戻す。",
  ],
  helpTitle: ["Mouse, touch and keyboard", "鼠标、触摸与键盘", "マウス・タッチ・キーボード"],
  find: ["Find text", "查找文字", "文字を検出"],
  finding: ["Looking for text …", "正在查找文字……", "文字を検出中…"],
  found: ["Lines of text found: {count}", "找到的文字行：{count}", "見つかった文字行：{count}"],
  nothingFound: ["No text was found.", "未找到文字。", "文字は見つかりませんでした。"],
  noRegions: [
    "None yet: everything that the service takes for text goes.",
    "尚无区域：服务识别出的所有文字都将被去除。",
    "まだありません：サービスが文字と判断したものをすべて消します。",
  ],
  pointer: ["Pointer at {x}, {y}", "指针位于 {x}, {y}", "ポインタ位置 {x}, {y}"],
  corner: ["Corner set at {x}, {y}", "已在 {x}, {y} 设置角点", "{x}, {y} に角を置きました"],
  numbers: ["Add a rectangle by numbers", "用数字添加矩形", "数値で長方形を追加"],
  width: ["width", "宽", "幅"],
  height: ["height", "高", "高さ"],
  add: ["Add", "添加", "追加"],
  regions: ["Regions", "区域", "範囲"],
  regionAdded: ["Region {number} added", "已添加区域 {number}", "範囲 {number} を追加しました"],
  regionRemoved: ["Region removed", "已删除区域", "範囲を削除しました"],
  removeRegion: ["Remove region {number}", "删除区域 {number}", "範囲 {number} を削除"],
  runTitle: ["Run", "运行", "実行"],
  model: ["Model", "模型", "モデル"],
  defaultModel: ["default ({name})", "默认（{name}）", "既定（{name}）"],
  format: ["Format", "格式", "形式"],
  quality: ["Quality", "质量", "品質"],
  strategy: ["Large images", "大图处理", "大きな画像"],
  key: ["API key", "API 密钥", "API キー"],
  keyNeeded: ["This service asks for an API key.", "此服务需要 API 密钥。", "このサービスには API キーが必要です。"],
  keyWrong: [
    "The service does not know this API key. Check it, and enter it again.",
    "服务不认识此 API 密钥。请检查后重新输入。",
    "この API キーは登録されていません。確認して入力し直してください。",
  ],
  steps: ["Steps", "步数", "ステップ数"],
  prompt: ["What shall be there", "希望出现的内容", "描いてほしいもの"],
  negativePrompt: ["What shall not", "不希望出现的内容", "描いてほしくないもの"],
  maskMode: ["What of a region is replaced", "替换区域中的哪些部分", "範囲のうち置き換える部分"],
  maskAuto: ["letters where sure, else all", "能确定时只替换字，否则整个区域", "確実なら文字だけ、でなければ全体"],
  maskStrokes: ["letters only", "只替换字", "文字だけ"],
  maskBox: ["all of it", "整个区域", "全体"],
  output: ["Answer", "返回内容", "返す内容"],
  outputImage: ["clean picture", "去除后的图片", "消した画像"],
  outputMask: ["mask", "蒙版", "マスク"],
  outputOverlay: ["mask over the picture", "叠加在图片上的蒙版", "画像に重ねたマスク"],
  mode: ["How to run", "运行方式", "実行方法"],
  now: ["Now", "立即", "すぐに"],
  asTask: ["As a task", "作为任务", "タスクとして"],
  run: ["Remove", "去除", "消す"],
  runText: ["Remove all text", "去除所有文字", "文字をすべて消す"],
  cancel: ["Cancel", "取消", "キャンセル"],
  progress: ["Progress", "进度", "進捗"],
  working: ["Working …", "处理中……", "処理中…"],
  cancelling: ["Cancelling …", "正在取消……", "キャンセルしています…"],
  taskProgress: ["{status}, {progress} %", "{status}，{progress}%", "{status}、{progress}%"],
  queued: ["waiting, {number} before this one", "等待中，前面有 {number} 个", "待機中、前に {number} 件"],
  done: ["Done by {model} in {seconds} s", "已由 {model} 完成，用时 {seconds} 秒", "{model} が {seconds} 秒で完了"],
  cancelled: ["Cancelled", "已取消", "キャンセルしました"],
  resultTitle: ["Before and after", "前后对比", "前後の比較"],
  before: ["Before", "处理前", "処理前"],
  after: ["After", "处理后", "処理後"],
  slider: ["Before — after", "处理前 — 处理后", "処理前 — 処理後"],
  download: ["Download", "下载", "ダウンロード"],
  codeTitle: ["The same request", "相同的请求", "同じリクエスト"],
  copy: ["Copy", "复制", "コピー"],
  copied: ["Copied", "已复制", "コピーしました"],
  mask: ["Download the mask", "下载蒙版", "マスクをダウンロード"],
  tasksTitle: ["Tasks and queue", "任务与队列", "タスクと待ち行列"],
  taskList: ["List of tasks", "任务列表", "タスク一覧"],
  task: ["Task", "任务", "タスク"],
  state: ["State", "状态", "状態"],
  actions: ["Actions", "操作", "操作"],
  noTasks: ["No task since this page was opened.", "打开本页以来没有任务。", "このページを開いてからタスクはありません。"],
  cancelTask: ["Cancel task {id}", "取消任务 {id}", "タスク {id} をキャンセル"],
  active: ["active", "活动", "実行中・待機中"],
  pending: ["waiting", "等待", "待機中"],
  preparing: ["preparing", "准备中", "準備中"],
  processing: ["working", "处理中", "処理中"],
  completed: ["completed", "已完成", "完了"],
  error: ["failed", "失败", "失敗"],
  cancelledState: ["cancelled", "已取消", "キャンセル済み"],
  wait: ["estimated wait, s", "预计等待（秒）", "待ち時間の見込み（秒）"],
  healthy: ["{name} is ready", "{name} 已就绪", "{name} は準備完了"],
  unreachable: ["The service cannot be reached", "无法连接服务", "サービスに接続できません"],
  notAnImage: ["This is not an image that the browser can show.", "浏览器无法显示此图片。", "ブラウザで表示できない画像です。"],
};
const LANGUAGES = ["en", "zh", "ja"];
const TAGS = { en: "en", zh: "zh-CN", ja: "ja" };

let language = LANGUAGES.find((one) => navigator.language.toLowerCase().startsWith(one)) ?? "en";

export function currentLanguage() {
  return language;
}

/** The text of that name in the current language. */
export function text(name, values = {}) {
  const found = TEXTS[name][LANGUAGES.indexOf(language)];
  return found.replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

/** Show the page in a language. */
export function speak(wanted) {
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  document.documentElement.lang = TAGS[language];
  document.title = text("title");
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = text(element.dataset.label);
  for (const element of document.querySelectorAll("[data-alt]")) element.alt = text(element.dataset.alt);
}
