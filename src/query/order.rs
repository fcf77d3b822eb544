//! Cheap conditions first.
//!
//! Rows are filtered while columns are decoded, one condition after the other, and what a condition lets pass is all
//! that the next one sees. The planner puts conditions together as it finds them; here each filter's are put in the
//! order of what they cost: comparisons, then patterns, then functions. What is kept is the same, conditions that cost
//! the same stay as they were, and one that may fail (a cast, a division) stays behind those that came before it.
//! Nothing is known here of tables or of how often a condition holds.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::functions;

/// The rule; see the module.
#[derive(Debug)]
pub(super) struct CheapFirst;

impl OptimizerRule for CheapFirst {
    fn name(&self) -> &str {
        "cheap_first"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
        let mut conditions = split_conjunction(&filter.predicate);
        let mut is_changed = false;
        if !filter.predicate.is_volatile() {
            // Each run ends with a condition that may fail.
            for run in conditions.split_inclusive_mut(|condition| may_fail(condition)) {
                let free = match run.split_last_mut() {
                    Some((last, before)) if may_fail(last) => before,
                    _ => run,
                };
                is_changed |= !free.is_sorted_by_key(|condition| cost(condition));
                free.sort_by_key(|condition| cost(condition));
            }
        }
        match conjunction(conditions.into_iter().cloned()) {
            Some(ordered) if is_changed => {
                Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(ordered, filter.input)?)))
            }
            _ => Ok(Transformed::no(LogicalPlan::Filter(filter))),
        }
    }
}

/// Functions of DataFusion that have a result for every value.
const NEVER_FAIL: [&str; 12] = [
    "lower",
    "upper",
    "btrim",
    "coalesce",
    "nullif",
    "concat",
    "starts_with",
    "ends_with",
    "contains",
    "strpos",
    "length",
    "array_has",
];

/// Whether a condition may end the query for some values. What comes before it may be there to keep those away.
fn may_fail(condition: &Expr) -> bool {
    let fails = condition.exists(|part| {
        Ok(match part {
            Expr::Cast(_) => true,
            Expr::BinaryExpr(binary) => binary.op.is_numerical_operators(),
            Expr::ScalarFunction(call) => {
                let name = call.func.name();
                !functions::never_fails(name) && !NEVER_FAIL.contains(&name)
            }
            _ => false,
        })
    });
    // The closure never fails.
    fails.unwrap_or(true)
}

/// What a row costs, roughly, in comparisons.
fn cost(condition: &Expr) -> u32 {
    let mut sum = 0;
    // The closure never fails.
    let _ = condition.apply(|part| {
        sum += match part {
            Expr::Like(like) if like.case_insensitive => 8,
            Expr::Like(_) => 4,
            Expr::SimilarTo(_) => 30,
            Expr::BinaryExpr(BinaryExpr {
                op:
                    Operator::RegexMatch
                    | Operator::RegexIMatch
                    | Operator::RegexNotMatch
                    | Operator::RegexNotIMatch,
                ..
            }) => 30,
            Expr::InList(list) => u32::try_from(list.list.len()).unwrap_or(u32::MAX).min(4),
            Expr::ScalarFunction(_) => 20,
            Expr::Cast(_) | Expr::TryCast(_) => 2,
            Expr::BinaryExpr(_) | Expr::Case(_) | Expr::Between(_) => 1,
            _ => 0,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{EngineOptions, Params, testing};
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::functions::string::expr_fn::upper;
    use datafusion::logical_expr::{cast, col, lit, table_scan};
    use datafusion::optimizer::OptimizerContext;

    #[tokio::test]
    async fn what_costs_less_comes_first() {
        let engine = testing::engine(&EngineOptions::default(), &[]).await;
        let sql = "SELECT request_id FROM requests WHERE operation_class = 'read' AND key ILIKE '%x%' \
                   AND regexp_like(key, 'z.z') AND key LIKE '%y%' AND http_status > 400";
        let plan = engine.plan(sql, &Params::none()).await.unwrap().into_optimized_plan().unwrap();
        let plan = plan.display_indent().to_string();
        let places: Vec<_> = ["http_status >", "key LIKE", "key ILIKE", "operation_class(", "key ~"]
            .map(|condition| plan.find(condition).unwrap_or_else(|| panic!("{condition} in {plan}")))
            .into();
        assert!(places.is_sorted(), "{plan}");
    }

    #[test]
    fn what_may_fail_stays_behind_what_came_before_it() {
        let schema = Schema::new(vec![
            Field::new("key", DataType::Utf8View, true),
            Field::new("object_size", DataType::Int64, true),
        ]);
        let ordered = |condition: Expr| {
            let table = table_scan(Some("access_logs"), &schema, None).unwrap();
            let plan = table.filter(condition).unwrap().build().unwrap();
            let LogicalPlan::Filter(filter) =
                CheapFirst.rewrite(plan, &OptimizerContext::new()).unwrap().data
            else {
                panic!("a filter stays a filter")
            };
            filter.predicate.to_string().replace("access_logs.", "")
        };
        let number = || cast(col("key"), DataType::Int64).gt(lit(5));
        let (slow, cheap) = (|| upper(col("key")).like(lit("A%")), || col("object_size").gt(lit(0)));
        assert_eq!(ordered(slow().and(cheap())), cheap().and(slow()).to_string());
        assert_eq!(ordered(slow().and(number())), slow().and(number()).to_string());
        assert_eq!(
            ordered(slow().and(cheap()).and(number()).and(slow()).and(cheap())),
            cheap().and(slow()).and(number()).and(cheap()).and(slow()).to_string()
        );
        let share = || (lit(10_i64) / col("object_size")).gt(lit(1_i64));
        assert_eq!(ordered(slow().and(share())), slow().and(share()).to_string());
    }
}
