-- What is unusual about the live chain, block by block, from the file of the plugin `history`:
--   python scripts/ask_history.py HISTORY look_back --since 1000
-- or, the same, with the program sqlite3:
--   sqlite3 -readonly HISTORY < scripts/sql/look_back.sql
--   sqlite3 -readonly -cmd '.parameter set :since 1000' HISTORY < scripts/sql/look_back.sql
-- Each part lists what there is above block :since (0 where none is set), oldest first.
.mode column
.headers on

.print
.print INDEX PRICES that moved by 0.5 % or more from one accepted price to the next
SELECT height, at, market, was / 1e8 AS was, price / 1e8 AS price,
       round(100.0 * (price - was) / was, 2) AS percent
FROM (
  SELECT height, datetime(timestamp, 'unixepoch') AS at, market,
         CAST(json_extract(details, '$.index') AS INTEGER) AS price,
         lag(CAST(json_extract(details, '$.index') AS INTEGER)) OVER (
           PARTITION BY market ORDER BY height, transaction_index, event_index
         ) AS was
  FROM events WHERE kind = 'PriceAccepted'
)
WHERE height > coalesce(:since, 0) AND abs(price - was) * 200 >= was
ORDER BY height LIMIT 40;

.print
.print INDEX PRICES by minute: the lowest, the highest, how far apart (the last twenty minutes)
SELECT * FROM (
  SELECT min(height) AS first_block, strftime('%Y-%m-%d %H:%M', timestamp, 'unixepoch') AS minute,
         market, min(price) / 1e8 AS lowest, max(price) / 1e8 AS highest,
         round(100.0 * (max(price) - min(price)) / min(price), 2) AS percent
  FROM (
    SELECT height, timestamp, market,
           CAST(json_extract(details, '$.index') AS INTEGER) AS price
    FROM events WHERE kind = 'PriceAccepted'
  )
  WHERE height > coalesce(:since, 0) AND price > 0
  GROUP BY market, timestamp / 60 ORDER BY timestamp / 60 DESC, market LIMIT 40
) ORDER BY minute, market;

.print
.print PRICES REFUSED by a guard: which blocks, how often
SELECT min(height) AS first, max(height) AS last, count(*) AS times, market,
       json_extract(details, '$.reason') AS guard
FROM events WHERE kind = 'PriceRefused' AND height > coalesce(:since, 0)
GROUP BY market, guard ORDER BY first;

.print
.print TRADES by more than 1 % away from the index price of their time
SELECT height, datetime(timestamp, 'unixepoch') AS at, market, side, price / 1e8 AS price,
       index_price / 1e8 AS index_price,
       round(100.0 * (price - index_price) / index_price, 2) AS percent,
       size / 1e8 AS size, taker, maker
FROM (
  -- A trade has the newest price before it, also one of a block below :since.
  SELECT *, max(accepted) OVER (PARTITION BY market, prices_before) AS index_price
  FROM (
    SELECT *, count(accepted) OVER (
      PARTITION BY market ORDER BY height, transaction_index, event_index
    ) AS prices_before
    FROM (
      SELECT height, timestamp, transaction_index, event_index, market,
             CAST(json_extract(details, '$.index') AS INTEGER) AS accepted,
             NULL AS side, NULL AS price, NULL AS size, NULL AS taker, NULL AS maker
      FROM events WHERE kind = 'PriceAccepted'
      UNION ALL
      SELECT height, timestamp, transaction_index, event_index, market, NULL,
             side, price, size, taker, maker
      FROM trades
    )
  )
)
WHERE taker IS NOT NULL AND height > coalesce(:since, 0)
  AND abs(price - index_price) * 100 > index_price
ORDER BY height, transaction_index, event_index LIMIT 60;

.print
.print NEW ACCOUNTS: those that traded, or had an order rest, for the first time
SELECT min(height) AS since, account, sum(kind = 'Fill') AS trades,
       count(DISTINCT order_id) AS orders
FROM account_history WHERE kind IN ('Fill', 'OrderOpened')
GROUP BY account HAVING since > coalesce(:since, 0)
ORDER BY since LIMIT 40;

.print
.print FUNDING INDICES: the three largest moves of each market
SELECT height, market, moved
FROM (
  SELECT height, market, moved,
         row_number() OVER (PARTITION BY market ORDER BY abs(moved) DESC) AS place
  FROM (
    SELECT height, market,
           (CAST(json_extract(details, '$.index') AS REAL) - lag(
             CAST(json_extract(details, '$.index') AS REAL)
           ) OVER (PARTITION BY market ORDER BY height, transaction_index, event_index)) / 1e18
             AS moved
    FROM events WHERE kind = 'FundingIndexMoved'
  )
  WHERE moved IS NOT NULL AND height > coalesce(:since, 0)
)
WHERE place <= 3 ORDER BY market, height;

.print
.print LIQUIDATIONS by block: accounts, markets, penalties, and bad debt
SELECT height, datetime(timestamp, 'unixepoch') AS at,
       sum(kind = 'LiquidationEnded') AS liquidations,
       group_concat(DISTINCT market) AS markets,
       sum(penalty) / 1e8 AS penalties, sum(bad_debt) / 1e8 AS bad_debt
FROM liquidations WHERE height > coalesce(:since, 0)
GROUP BY height ORDER BY height LIMIT 40;

.print
.mode list
.separator '  '
.print DECISIONS: modes, guards, harm, publishers, settings, keys
SELECT height, datetime(timestamp, 'unixepoch') AS at, kind, details
FROM events
WHERE height > coalesce(:since, 0) AND kind IN (
  'ModeChanged', 'GuardChanged', 'GuardViolated', 'FaultDone', 'PublisherChanged', 'Reopened',
  'SettingChanged', 'MarketChanged', 'SubkeyChanged', 'DepositUnmade'
)
ORDER BY height LIMIT 60;

.print
.print SUBKEYS, those of several accounts first: who added each key, and who may still use it
SELECT key, account, added, height AS changed, CASE WHEN active THEN 'yes' ELSE 'no' END AS active
FROM (
  SELECT *, count(*) OVER (PARTITION BY key) AS accounts
  FROM (
    SELECT height, json_extract(details, '$.key') AS key,
           json_extract(details, '$.account') AS account,
           json_extract(details, '$.active') AS active,
           min(height) OVER whose AS added, row_number() OVER (
             PARTITION BY json_extract(details, '$.key'), json_extract(details, '$.account')
             ORDER BY height DESC, transaction_index DESC, event_index DESC
           ) AS place
    FROM events WHERE kind = 'SubkeyChanged'
    WINDOW whose AS (
      PARTITION BY json_extract(details, '$.key'), json_extract(details, '$.account')
    )
  )
  WHERE place = 1
)
ORDER BY accounts DESC, key, added LIMIT 60;

.print
.print MONEY: the ten largest transfers, deposits and withdrawals
SELECT height, kind, account, role, amount / 1e8 AS amount
FROM account_history
WHERE height > coalesce(:since, 0) AND kind IN ('Transferred', 'Credited', 'Withdrawn')
ORDER BY abs(amount) DESC LIMIT 10;
